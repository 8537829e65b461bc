// right | trials(answered) ~ week + (week | student), logit, every student sampled. It checks the quadrature of
// the binomial family, and samples small cohorts.
data {
  int<lower=1> N;
  int<lower=1> J;
  array[N] int<lower=1, upper=J> student;
  vector[N] week;
  array[N] int<lower=0> answered;
  array[N] int<lower=0> right;
  vector[2] intercept_prior;
  vector[2] week_prior;
  matrix[2, 2] sd_prior;
  real<lower=0> lkj_eta;
}
transformed data {
  real week_mean = mean(week);
  vector[N] week_centred = week - week_mean;
}
parameters {
  real Intercept;
  real slope;
  vector<lower=0>[2] tau;
  cholesky_factor_corr[2] L;
  matrix[2, J] z;
}
transformed parameters {
  real rho = L[2, 1];
}
model {
  matrix[2, J] effects = diag_pre_multiply(tau, L) * z;
  Intercept ~ normal(intercept_prior[1], intercept_prior[2]);
  slope ~ normal(week_prior[1], week_prior[2]);
  tau ~ cauchy(col(sd_prior, 1), col(sd_prior, 2));
  L ~ lkj_corr_cholesky(lkj_eta);
  to_vector(z) ~ std_normal();
  vector[J] r0 = effects[1]';
  vector[J] r1 = effects[2]';
  right ~ binomial_logit(answered, Intercept + slope * week_centred + r0[student] + r1[student] .* week);
}
generated quantities {
  matrix[2, J] lines;
  {
    matrix[2, J] effects = diag_pre_multiply(tau, L) * z;
    lines[1] = Intercept - slope * week_mean + effects[1];
    lines[2] = slope + effects[2];
  }
}
