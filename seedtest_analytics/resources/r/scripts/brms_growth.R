# Bayesian growth by brms: score ~ week + (week | student_id), or counts of right answers.
#
# The priors' numbers are Stan data and not part of the program, so one compiled model serves all priors. Processes
# share it through a folder: 2 to 3 s instead of 40 s.

GROUP <- "student_id"
PRIOR_NUMBERS <- c(
  "intercept_mean", "intercept_sd", "week_mean", "week_sd",
  "sd_location", "sd_scale", "sigma_location", "sigma_scale", "lkj_eta", "sd_week_location", "sd_week_scale"
)

sample_growth <- function(data, prior_numbers, family, chains, warmup, draws, seed, cores, cache_folder) {
  suppressPackageStartupMessages(library(brms))
  model <- compiled_model(family, cache_folder)
  fit <- stats::update(
    model$fit, newdata = data, stanvars = prior_data(prior_numbers), recompile = FALSE,
    chains = chains, warmup = warmup, iter = warmup + draws, seed = seed, cores = cores,
    control = list(adapt_delta = 0.8), refresh = max(1L, (warmup + draws) %/% 4L)
  )
  sent <- brms::standata(fit)
  c(
    list(
      parameters = population_draws(fit),
      sampler = sampler_report(fit),
      priors_used = data.frame(name = PRIOR_NUMBERS, value = as.numeric(sent[paste0("prior_", PRIOR_NUMBERS)])),
      program = as.character(brms::stancode(fit)),
      is_model_from_cache = model$is_from_cache,
      versions = versions()
    ),
    student_draws(fit)
  )
}

prior_data <- function(numbers) {
  parts <- lapply(PRIOR_NUMBERS, function(name) {
    brms::stanvar(numbers[[name]], name = paste0("prior_", name), scode = paste0("  real prior_", name, ";"))
  })
  Reduce(`+`, parts)
}

model_parts <- function(family) {
  priors <- c(
    brms::set_prior("normal(prior_intercept_mean, prior_intercept_sd)", class = "Intercept"),
    brms::set_prior("normal(prior_week_mean, prior_week_sd)", class = "b"),
    brms::set_prior("cauchy(prior_sd_location, prior_sd_scale)", class = "sd"),
    brms::set_prior("cauchy(prior_sd_week_location, prior_sd_week_scale)", class = "sd", coef = "week", group = GROUP),
    brms::set_prior("lkj(prior_lkj_eta)", class = "cor")
  )
  # Invented data, because the compiled model in the shared folder includes the data it was built with.
  data <- expand.grid(student_id = 1:3, week = 1:4)
  if (family == "binomial") {
    formula <- right | trials(attempts) ~ week + (week | student_id)
    data$right <- 1L
    data$attempts <- 2L
    return(list(formula = formula, data = data, priors = priors, family = stats::binomial()))
  }
  data$score <- data$week / 10
  priors <- c(priors, brms::set_prior("cauchy(prior_sigma_location, prior_sigma_scale)", class = "sigma"))
  list(formula = score ~ week + (week | student_id), data = data, priors = priors, family = stats::gaussian())
}

compiled_model <- function(family, cache_folder) {
  parts <- model_parts(family)
  numbers <- as.list(stats::setNames(rep(1, length(PRIOR_NUMBERS)), PRIOR_NUMBERS))
  arguments <- list(
    formula = parts$formula, data = parts$data, family = parts$family, prior = parts$priors,
    stanvars = prior_data(numbers)
  )
  path <- file.path(cache_folder, paste0("brms-", program_hash(arguments), ".rds"))
  cached <- read_cached(path)
  if (!is.null(cached)) return(list(fit = cached, is_from_cache = TRUE))
  prepare_compiler()
  message("compiling the brms model; later fits reuse it from ", cache_folder)
  fit <- do.call(brms::brm, c(arguments, list(chains = 0, backend = "rstan", silent = 1)))
  dir.create(cache_folder, recursive = TRUE, showWarnings = FALSE)
  partial <- tempfile("brms-", tmpdir = cache_folder)
  saveRDS(fit, partial)
  file.rename(partial, path)
  list(fit = fit, is_from_cache = FALSE)
}

# A compiled model works only with the program and the versions of brms, rstan and R that built it.
program_hash <- function(arguments) {
  program <- do.call(brms::make_stancode, arguments)
  path <- tempfile()
  on.exit(unlink(path))
  writeLines(c(program, unlist(versions()), R.version$platform), path)
  unname(tools::md5sum(path))
}

read_cached <- function(path) {
  if (!file.exists(path)) return(NULL)
  tryCatch(
    {
      fit <- readRDS(path)
      stopifnot(brms::is.brmsfit(fit))
      fit
    },
    error = function(e) {
      warning("the compiled model in ", path, " cannot be read (", conditionMessage(e), "); compiling it again")
      NULL
    }
  )
}

prepare_compiler <- function() {
  compiler <- system2(file.path(R.home("bin"), "R"), c("CMD", "config", "CXX14"), stdout = TRUE)
  program <- strsplit(compiler, " ")[[1L]][1L]
  if (is.na(program) || !nzchar(Sys.which(program))) {
    stop("compiling a brms model needs the C++ compiler ", program, ": apt-get install --no-install-recommends g++ make")
  }
  # rstan looks for Boost in the BH package, but Debian's BH has no headers ("Boost not found").
  if (dir.exists(system.file("include", "boost", package = "BH"))) return(invisible())
  folder <- file.path(tempdir(), "boost-headers")
  dir.create(folder, showWarnings = FALSE)
  file.symlink("/usr/include/boost", file.path(folder, "boost"))
  rstan::rstan_options(boost_lib = folder)
}

# Matrices (draws x chains), named as brms names them.
population_draws <- function(fit) {
  draws <- posterior::as_draws_array(fit)
  names <- grep("^(b_|sd_|cor_|sigma$)", posterior::variables(draws), value = TRUE)
  stats::setNames(lapply(names, function(name) posterior::extract_variable_matrix(draws, name)), names)
}

# Arrays (draws x chains x students) of intercepts at week 0 and slopes, each including the population part.
student_draws <- function(fit) {
  draws <- posterior::as_draws_array(fit)
  levels <- levels(factor(fit$data[[GROUP]]))
  total <- function(effect, population) {
    names <- paste0("r_", GROUP, "[", levels, ",", effect, "]")
    array(draws[, , names], dim = c(dim(draws)[1:2], length(names))) +
      as.vector(posterior::extract_variable_matrix(draws, population))
  }
  list(
    levels = levels,
    student_intercept = total("Intercept", "b_Intercept"),
    student_slope = total("week", "b_week")
  )
}

sampler_report <- function(fit) {
  report <- lapply(rstan::get_sampler_params(fit$fit, inc_warmup = FALSE), function(chain) {
    energy <- chain[, "energy__"]
    data.frame(
      divergences = sum(chain[, "divergent__"]),
      ebfmi = sum(diff(energy)^2) / sum((energy - mean(energy))^2),
      treedepth_max = max(chain[, "treedepth__"]),
      treedepth_hits = sum(chain[, "treedepth__"] >= 10)
    )
  })
  do.call(rbind, report)
}

versions <- function() {
  data.frame(
    r = R.version.string,
    brms = as.character(utils::packageVersion("brms")),
    rstan = as.character(utils::packageVersion("rstan"))
  )
}
