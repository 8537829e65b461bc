// right | trials(answered) ~ week + (week | student), logit, with every student's intercept and slope integrated out.
//
// The population's five numbers are sampled; binomial_loglik.hpp integrates each student by adaptive quadrature. The same
// posterior as with every student sampled, in five dimensions instead of 2 * students + 5.
//
// Sampling happens in z, with (Intercept, slope, log tau1, log tau2, atanh rho) = location + scale * z; see
// growth_marginal.stan, which also explains the priors.
functions {
  real binomial_loglik(vector effects, data matrix rows, data vector starts);
}
data {
  int<lower=1> N;                          // student-weeks, sorted by student
  int<lower=1> J;                          // students
  matrix[N, 3] rows;                       // week, answered, right
  vector[J + 1] starts;                    // first row of each student, from 0, and N
  real week_mean;
  vector[5] location;
  matrix[5, 5] scale;
  vector[2] intercept_prior;               // normal: mean, sd
  vector[2] week_prior;                    // normal: mean, sd
  matrix[2, 2] sd_prior;                   // half-Cauchy of SD of intercept and of slope, by row: location, scale
  real<lower=0> lkj_eta;
}
parameters {
  vector[5] z;
}
transformed parameters {
  vector[5] theta = location + scale * z;
  real Intercept = theta[1];
  real slope = theta[2];
  vector<lower=0>[2] tau = exp(theta[3 : 4]);
  real<lower=-1, upper=1> rho = tanh(theta[5]);
}
model {
  real log1m_rho2 = 2 * (log2() - abs(theta[5]) - log1p_exp(-2 * abs(theta[5])));
  target += theta[3] + theta[4] + lkj_eta * log1m_rho2;
  Intercept ~ normal(intercept_prior[1], intercept_prior[2]);
  slope ~ normal(week_prior[1], week_prior[2]);
  tau ~ cauchy(col(sd_prior, 1), col(sd_prior, 2));

  vector[5] effects;
  effects[1] = Intercept - slope * week_mean;
  effects[2] = slope;
  effects[3] = tau[1];                     // Cholesky factor: diag(tau) * L
  effects[4] = tau[2] * rho;
  effects[5] = tau[2] * exp(0.5 * log1m_rho2);
  target += binomial_loglik(effects, rows, starts);
}
