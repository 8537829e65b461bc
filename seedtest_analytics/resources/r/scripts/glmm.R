# Mixed models by lme4. Returns data frames only; seedtest_analytics/resources/r/mixed_model.py reads them.

# lme4's default optimiser stops early on student data (by up to 3.2 in the criterion, at times without a warning).
# bobyqa continues from there with tight tolerances and restarts where it stopped until the criterion settles.
RESTARTS <- 4L
CRITERION_CHANGE <- 1e-8
TRUST_REGION <- list(rhobeg = 1e-2, rhoend = 1e-10, maxfun = 100000L)

fit_glmm <- function(data, formula, family, reml, held_out, attempts_column = NULL) {
  formula <- stats::as.formula(formula, env = environment())
  response <- all.vars(formula)[1L]
  weights <- if (is.null(attempts_column)) NULL else data[[attempts_column]]
  noted <- with_warnings(fit_until_settled(formula, data, family, reml, weights))
  fit <- noted$value
  errors <- prediction_errors(fit, formula, data, response, family, reml, weights, held_out)
  list(
    fixed = fixed_effects(fit),
    components = variance_components(fit),
    random = random_effects(fit),
    fit = cbind(fit_statistics(fit, family, reml), errors),
    convergence_messages = convergence_messages(fit),
    warnings = setdiff(noted$warnings, convergence_messages(fit)),
    versions = data.frame(r = R.version.string, lme4 = as.character(utils::packageVersion("lme4")))
  )
}

with_warnings <- function(expr) {
  warnings <- character()
  value <- withCallingHandlers(expr, warning = function(w) warnings <<- c(warnings, conditionMessage(w)))
  list(value = value, warnings = unique(warnings))
}

fit_until_settled <- function(formula, data, family, reml, weights) {
  start <- NULL
  if (family == "gaussian") {
    rough <- lme4::lmerControl(calc.derivs = FALSE, check.conv.singular = "ignore")
    start <- lme4::getME(quietly(lme4::lmer(formula, data, REML = reml, control = rough)), "theta")
  }
  fit <- quietly(fit_once(formula, data, family, reml, weights, start))
  for (restart in seq_len(RESTARTS)) {
    settled <- quietly(fit_once(formula, data, family, reml, weights, end_point(fit, family)))
    is_better <- criterion(settled) < criterion(fit)
    change <- abs(criterion(fit) - criterion(settled))
    if (is_better) fit <- settled
    if (change < CRITERION_CHANGE) break
  }
  for (text in convergence_messages(fit)) warning(text, call. = FALSE)
  fit
}

# A restart leaves the point that these warnings are about; convergence_messages reports those of the last fit.
quietly <- function(expr) {
  withCallingHandlers(expr, warning = function(w) {
    if (grepl("converge|singular|gradient|Hessian", conditionMessage(w))) invokeRestart("muffleWarning")
  })
}

fit_once <- function(formula, data, family, reml, weights, start) {
  arguments <- list(formula = formula, data = data, start = start)
  if (!is.null(weights)) arguments$weights <- weights
  if (family == "gaussian") {
    arguments$REML <- reml
    arguments$control <- lme4::lmerControl(optimizer = "bobyqa", optCtrl = TRUST_REGION)
    return(do.call(lme4::lmer, arguments))
  }
  arguments$family <- stats::binomial()
  arguments$control <- lme4::glmerControl(optimizer = "bobyqa", optCtrl = TRUST_REGION)
  do.call(lme4::glmer, arguments)
}

criterion <- function(fit) -2 * as.numeric(stats::logLik(fit))

end_point <- function(fit, family) {
  theta <- lme4::getME(fit, "theta")
  if (family == "gaussian") theta else list(theta = theta, fixef = lme4::fixef(fit))
}

convergence_messages <- function(fit) {
  found <- fit@optinfo$conv$lme4$messages
  if (!identical(as.integer(fit@optinfo$conv$opt), 0L)) {
    found <- c(found, paste("the optimiser stopped with code", fit@optinfo$conv$opt))
  }
  unique(as.character(unlist(found)[!grepl("singular", unlist(found))]))
}

fixed_effects <- function(fit) {
  table <- stats::coef(summary(fit))
  data.frame(name = rownames(table), estimate = table[, 1L], se = table[, 2L], statistic = table[, 3L])
}

variance_components <- function(fit) {
  table <- as.data.frame(lme4::VarCorr(fit))
  data.frame(
    group = table$grp, term = table$var1, other_term = table$var2, variance = table$vcov, sd_or_correlation = table$sdcor
  )
}

random_effects <- function(fit) {
  table <- as.data.frame(lme4::ranef(fit, condVar = TRUE))
  data.frame(
    group = as.character(table$grpvar), term = as.character(table$term), level = as.character(table$grp),
    value = table$condval, conditional_sd = table$condsd
  )
}

fit_statistics <- function(fit, family, reml) {
  data.frame(
    criterion = if (family == "binomial") "ML (Laplace)" else if (reml) "REML" else "ML",
    n_rows = stats::nobs(fit),
    log_likelihood = as.numeric(stats::logLik(fit)),
    aic = stats::AIC(fit),
    bic = stats::BIC(fit),
    residual_sd = if (family == "gaussian") stats::sigma(fit) else NA_real_,
    is_singular = lme4::isSingular(fit),
    optimizer = fit@optinfo$optimizer
  )
}

# In-sample error, and the error on held-out rows of a second fit that starts at the estimates of the first.
prediction_errors <- function(fit, formula, data, response, family, reml, weights, held_out) {
  observed <- data[[response]]
  errors <- data.frame(
    rmse = rmse(observed, stats::fitted(fit)), held_out_rmse = NA_real_, rmse_of_mean = NA_real_, n_new_level_rows = NA
  )
  if (!any(held_out)) return(errors)
  seen <- data[!held_out, , drop = FALSE]
  unseen <- data[held_out, , drop = FALSE]
  other <- quietly(fit_once(formula, seen, family, reml, weights[!held_out], end_point(fit, family)))
  predicted <- stats::predict(other, newdata = unseen, type = "response", allow.new.levels = TRUE)
  groups <- names(lme4::ranef(other))
  is_new <- Reduce(`|`, lapply(intersect(groups, names(data)), function(g) !(unseen[[g]] %in% seen[[g]])), FALSE)
  errors$held_out_rmse <- rmse(unseen[[response]], predicted)
  errors$rmse_of_mean <- rmse(unseen[[response]], mean(seen[[response]]))
  errors$n_new_level_rows <- sum(is_new)
  errors
}

rmse <- function(observed, predicted) sqrt(mean((observed - predicted)^2))
