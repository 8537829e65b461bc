// score ~ week + (week | student), gaussian, with every student's intercept and slope integrated out.
//
// Given the population's six numbers a student's effects are Gaussian, so the posterior of the six is known up to
// a constant without sampling any student: the same posterior as growth_naive.stan in six dimensions instead of
// 2 * students + 6. Students who share X'WX (a "design": number of scores, sum of weeks, sum of squared weeks)
// share one 2 x 2 decomposition, so a gradient costs one step a design. marginal_loglik.hpp holds value and
// analytic gradient; Stan's automatic differentiation of the same sum takes about twenty times as long.
//
// Sampling happens in z, with (Intercept, slope, log tau1, log tau2, atanh rho, log sigma) = location + scale * z.
// Any location and scale give the same posterior. The Laplace mode and the Cholesky factor of its covariance keep
// every tree at depth 2 to 3 whatever the number of students, where Stan's own metric, which is shrunk towards
// 1e-3, loses grip once posterior SDs fall below about 0.01.
//
// Priors have brms's meaning: Intercept is the population's score at the mean week; student terms act on raw week.
functions {
  real marginal_loglik(vector effects, data matrix designs, data vector totals);
}
data {
  int<lower=1> D;                          // designs
  matrix[D, 9] designs;                    // m, A00, A01, A11, c0, c1, q00, q01, q11: see marginal_loglik.hpp
  vector[7] totals;                        // N, y'Wy, sums of c0, c1, m*A00, m*A01, m*A11
  real week_mean;
  vector[2] reference;                     // line taken off the scores beforehand, against cancellation
  vector[6] location;
  matrix[6, 6] scale;
  vector[2] intercept_prior;               // normal: mean, sd
  vector[2] week_prior;                    // normal: mean, sd
  matrix[2, 2] sd_prior;                   // half-Cauchy of SD of intercept and of slope, by row: location, scale
  vector[2] sigma_prior;                   // half-Cauchy: location, scale
  real<lower=0> lkj_eta;
}
parameters {
  vector[6] z;
}
transformed parameters {
  vector[6] theta = location + scale * z;
  real Intercept = theta[1];
  real slope = theta[2];
  vector<lower=0>[2] tau = exp(theta[3 : 4]);
  real<lower=-1, upper=1> rho = tanh(theta[5]);
  real<lower=0> sigma = exp(theta[6]);
}
model {
  // log(1 - tanh(x)^2) written without cancellation; it is the Jacobian of rho and, times eta - 1, the LKJ prior.
  real log1m_rho2 = 2 * (log2() - abs(theta[5]) - log1p_exp(-2 * abs(theta[5])));
  target += theta[3] + theta[4] + theta[6] + lkj_eta * log1m_rho2;
  Intercept ~ normal(intercept_prior[1], intercept_prior[2]);
  slope ~ normal(week_prior[1], week_prior[2]);
  tau ~ cauchy(col(sd_prior, 1), col(sd_prior, 2));
  sigma ~ cauchy(sigma_prior[1], sigma_prior[2]);

  vector[6] effects;
  effects[1] = Intercept - slope * week_mean - reference[1];
  effects[2] = slope - reference[2];
  effects[3] = tau[1] / sigma;             // relative Cholesky factor: diag(tau) * L / sigma
  effects[4] = tau[2] * rho / sigma;
  effects[5] = tau[2] * exp(0.5 * log1m_rho2) / sigma;
  effects[6] = theta[6];
  target += marginal_loglik(effects, designs, totals);
}
