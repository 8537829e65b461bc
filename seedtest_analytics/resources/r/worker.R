# Runs one call: sources the script into a new environment, forwards messages and warnings to the log, and turns an error
# into a value with its call and its traceback.

seedtest_call <- function(script, fun, arguments, on_message) {
  scope <- new.env(parent = globalenv())
  frames <- NULL
  handled <- function(expr) {
    withCallingHandlers(
      expr,
      error = function(e) frames <<- sys.calls(),
      warning = function(w) {
        on_message("warning", conditionMessage(w))
        invokeRestart("muffleWarning")
      },
      message = function(m) {
        on_message("message", conditionMessage(m))
        invokeRestart("muffleMessage")
      }
    )
  }
  tryCatch(
    {
      value <- handled({
        sys.source(script, envir = scope)
        do.call(get(fun, envir = scope, mode = "function"), arguments, quote = TRUE)
      })
      list(value = value)
    },
    error = function(e) {
      calls <- vapply(frames, function(one) paste(deparse(one, nlines = 1L), collapse = ""), "")
      calls <- own_calls(calls)
      origin <- conditionCall(e)
      list(
        error = conditionMessage(e),
        call = if (is.null(origin)) "" else paste(deparse(origin, nlines = 1L), collapse = ""),
        traceback = substr(as.character(calls), 1L, 200L)
      )
    }
  )
}

# The calls between this file's do.call and R's own handling of the error.
own_calls <- function(calls) {
  first <- match(TRUE, startsWith(calls, "do.call("), nomatch = 0L) + 1L
  last <- match(TRUE, startsWith(calls, ".handleSimpleError("), nomatch = length(calls) + 1L) - 1L
  if (first > last) character() else calls[first:last]
}

seedtest_package_versions <- function(packages) {
  vapply(packages, function(package) {
    if (!nzchar(system.file(package = package))) return(NA_character_)
    as.character(utils::packageVersion(package))
  }, "")
}
