# Item calibration by mirt: one dimension, marginal maximum likelihood by EM on a grid.

# cells: person, item (numbered from 1), correct (0 or 1).
# anchors: item and its fixed a, b, c; anchors free the mean and variance of the group.
# priors: parameter (a1, d, or g on the logit scale), type (lnorm, norm), first, second; one row covers every estimated
# parameter of that name.
calibrate <- function(cells, n_persons, n_items, model, anchors, priors, quadrature_points, theta_limit,
                      tolerance, max_cycles, standard_errors) {
  suppressPackageStartupMessages(library(mirt))
  data <- matrix(NA_integer_, n_persons, n_items, dimnames = list(NULL, paste0("item", seq_len(n_items))))
  data[cbind(cells$person, cells$item)] <- as.integer(cells$correct)
  arguments <- list(
    data = data, model = 1, itemtype = model, quadpts = quadrature_points, TOL = tolerance, verbose = FALSE,
    technical = list(NCYCLES = max_cycles, theta_lim = c(-theta_limit, theta_limit))
  )
  start <- do.call(mirt::mirt, c(arguments, list(pars = "values")))
  arguments$pars <- with_priors(with_anchors(start, anchors, model), priors)
  fit <- do.call(mirt::mirt, c(arguments, list(SE = standard_errors, SE.type = "Oakes")))
  list(
    items = item_parameters(fit, n_items),
    fit = cbind(fit_statistics(fit), group_parameters(fit)),
    versions = data.frame(r = R.version.string, mirt = as.character(utils::packageVersion("mirt")))
  )
}

with_anchors <- function(pars, anchors, model) {
  if (is.null(anchors) || nrow(anchors) == 0L) return(pars)
  for (k in seq_len(nrow(anchors))) {
    item <- paste0("item", anchors$item[k])
    pars <- fixed_at(pars, item, "a1", anchors$a[k])
    pars <- fixed_at(pars, item, "d", -anchors$a[k] * anchors$b[k])
    if (model == "3PL") pars <- fixed_at(pars, item, "g", anchors$c[k])
  }
  pars$est[pars$item == "GROUP" & pars$name %in% c("MEAN_1", "COV_11")] <- TRUE
  pars
}

fixed_at <- function(pars, item, name, value) {
  at <- pars$item == item & pars$name == name
  pars$value[at] <- value
  pars$est[at] <- FALSE
  pars
}

with_priors <- function(pars, priors) {
  if (is.null(priors) || nrow(priors) == 0L) return(pars)
  pars$prior.type <- as.character(pars$prior.type)
  for (k in seq_len(nrow(priors))) {
    at <- pars$name == priors$parameter[k] & pars$est
    pars$prior.type[at] <- priors$type[k]
    pars$prior_1[at] <- priors$first[k]
    pars$prior_2[at] <- priors$second[k]
  }
  pars
}

# Row "SE" is missing where mirt could not invert the information matrix.
entry <- function(table, row, column) {
  if (row %in% rownames(table) && column %in% colnames(table)) unname(table[row, column]) else NA_real_
}

item_parameters <- function(fit, n_items) {
  tables <- mirt::coef(fit, IRTpars = TRUE, printSE = TRUE)[paste0("item", seq_len(n_items))]
  column <- function(row, name) vapply(tables, entry, 0, row = row, column = name, USE.NAMES = FALSE)
  data.frame(
    item = seq_len(n_items),
    a = column("par", "a"), b = column("par", "b"), c = column("par", "g"),
    a_se = column("SE", "a"), b_se = column("SE", "b"), c_se = column("SE", "g")
  )
}

group_parameters <- function(fit) {
  table <- mirt::coef(fit, IRTpars = TRUE, printSE = TRUE)$GroupPars
  data.frame(
    group_mean = entry(table, "par", "MEAN_1"), group_mean_se = entry(table, "SE", "MEAN_1"),
    group_variance = entry(table, "par", "COV_11"), group_variance_se = entry(table, "SE", "COV_11")
  )
}

fit_statistics <- function(fit) {
  second_order <- mirt::extract.mirt(fit, "secondordertest")
  data.frame(
    log_likelihood = mirt::extract.mirt(fit, "logLik"),
    log_prior = mirt::extract.mirt(fit, "logPrior"),
    aic = mirt::extract.mirt(fit, "AIC"),
    n_iterations = as.integer(mirt::extract.mirt(fit, "iterations")),
    has_converged = isTRUE(mirt::extract.mirt(fit, "converged")),
    is_maximum = if (length(second_order) == 0L) NA else as.logical(second_order)
  )
}
