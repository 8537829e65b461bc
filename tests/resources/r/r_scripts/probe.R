# Functions that make R behave well and badly, for the tests of the R session.

echo <- function(x) x

classes <- function(frame) vapply(frame, function(column) class(column)[1], "")

missing_counts <- function(frame) vapply(frame, function(column) sum(is.na(column)), 0L)

noisy <- function() {
  cat("printed ")
  cat("in two parts\n")
  message("a message")
  warning("a warning")
  system("echo from a child process")
  invisible(NULL)
}

broken <- function() {
  inner <- function(depth) if (depth == 0) stop("it broke on purpose") else inner(depth - 1)
  inner(2)
}

# Busy in R code, where R looks for interrupts, and in compiled code, where it does not.
sleep_for_ever <- function() repeat Sys.sleep(0.05)
compute_for_ever <- function() repeat sort(runif(1e6))

kill_r <- function() {
  cat("about to go\n")
  tools::pskill(Sys.getpid(), tools::SIGKILL)
  Sys.sleep(60)
}

# A child of R that would outlive it, with R waiting.
leave_child <- function(path) {
  parallel::mcparallel({
    writeLines(as.character(Sys.getpid()), path)
    Sys.sleep(600)
  })
  Sys.sleep(600)
}

environment_names <- function() names(Sys.getenv())

temporary_folder <- function() tempdir()

allocate <- function(gigabytes) length(numeric(gigabytes * 2^27))

set_global <- function() {
  options(seedtest_probe = "set")
  TRUE
}

read_global <- function() is.null(getOption("seedtest_probe"))

a_function <- function() function(x) x

fork_and_print <- function(children, lines) {
  done <- parallel::mclapply(seq_len(children), function(i) {
    for (k in seq_len(lines)) message("chain ", i, " draw ", k)
    i
  }, mc.cores = children)
  list(done = unlist(done), draws = as.numeric(1:200000))
}
