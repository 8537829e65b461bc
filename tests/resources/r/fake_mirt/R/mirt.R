# Values that a test can work out by hand stand in for estimates: a = 1 (or the start value where it is fixed),
# d = the logit of the share of right answers (or the fixed value), SEs = 0.1 per estimated parameter.

mirt <- function(data, model, itemtype, quadpts, TOL, verbose, technical, pars = NULL, SE = FALSE, SE.type = "") {
  stopifnot(is.matrix(data), is.integer(data), model == 1, !verbose)
  if (identical(pars, "values")) return(start_values(data, itemtype))
  warning("asked for ", quadpts, " points on ", paste(technical$theta_lim, collapse = ".."), ", TOL ", TOL,
          ", NCYCLES ", technical$NCYCLES, ", priors ", stated(pars), ", SE ", SE, " ", SE.type)
  share <- colMeans(data, na.rm = TRUE)
  at <- pars$name == "d" & pars$est
  pars$value[at] <- log(share / (1 - share))
  list(pars = pars, data = data, SE = SE)
}

# Such as "a1 lnorm 0 0.5 x5": parameter, prior, its numbers, and on how many items.
stated <- function(pars) {
  own <- pars[pars$prior.type != "none", ]
  if (nrow(own) == 0L) return("none")
  counts <- table(paste(own$name, own$prior.type, own$prior_1, own$prior_2))
  paste0(names(counts), " x", counts, collapse = "; ")
}

start_values <- function(data, itemtype) {
  items <- rep(colnames(data), each = 4L)
  names <- rep(c("a1", "d", "g", "u"), ncol(data))
  est <- (names == "a1" & itemtype != "Rasch") | names == "d" | (names == "g" & itemtype == "3PL")
  value <- c(a1 = 1, d = 0, g = if (itemtype == "3PL") 0.15 else 0, u = 1)[names]
  data.frame(
    item = c(items, "GROUP", "GROUP"), name = c(names, "MEAN_1", "COV_11"),
    value = unname(c(value, 0, 1)), est = c(est, FALSE, itemtype == "Rasch"),
    prior.type = "none", prior_1 = NaN, prior_2 = NaN
  )
}

coef <- function(fit, IRTpars, printSE) {
  stopifnot(IRTpars, printSE)
  one <- function(item) {
    own <- fit$pars[fit$pars$item == item, ]
    value <- stats::setNames(own$value, own$name)
    se <- stats::setNames(ifelse(own$est, 0.1, NA), own$name)
    table <- if (item == "GROUP") rbind(par = value, SE = se) else rbind(
      par = c(a = value[["a1"]], b = -value[["d"]] / value[["a1"]], g = value[["g"]], u = 1),
      SE = c(a = se[["a1"]], b = se[["d"]], g = se[["g"]], u = NA)
    )
    if (fit$SE) table else table["par", , drop = FALSE]
  }
  tables <- lapply(unique(fit$pars$item), one)
  stats::setNames(tables, c(colnames(fit$data), "GroupPars"))
}

extract.mirt <- function(fit, what) {
  list(logLik = -1.5, logPrior = -0.25, AIC = 7, iterations = 12, converged = TRUE, secondordertest = if (fit$SE) TRUE)[[what]]
}
