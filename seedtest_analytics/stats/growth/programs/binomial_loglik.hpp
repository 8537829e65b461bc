// Log likelihood of `right | trials(answered) ~ week + (week | student)` with the student effects integrated out, and its
// gradient. The same sum as in quadrature.py, which gives the method and its source; a test compares the two.
//
// effects = (e0, e1, l11, l21, l22): the population's line at week 0, and the lower triangular L with Sigma = L L'.
// rows: week, answered, right of each student-week. starts: first row of each student, and the number of rows.
//
// Fisher's identity gives the gradient: with s0, s1 the sums of right - answered p, plain and times week,
//   d/d(e0, e1, l11, l21, l22) = posterior mean of (s0, s1, s0 z0, s1 z0, s1 z1)
#ifndef SEEDTEST_BINOMIAL_LOGLIK_HPP
#define SEEDTEST_BINOMIAL_LOGLIK_HPP
#include <stan/model/model_header.hpp>

namespace stan {
namespace math {
namespace seedtest {

constexpr int POINTS = 5, NEWTON_STEPS = 50;
constexpr double NEWTON_TOLERANCE = 1e-7, LONGEST_STEP = 2.0;
// Gauss-Hermite, for the weight exp(-x^2).
constexpr double NODE[POINTS] = {-2.0201828704560856, -0.9585724646138185, 0.0, 0.9585724646138185, 2.0201828704560856};
constexpr double NODE_WEIGHT[POINTS]
    = {0.019953242059045913, 0.39361932315224116, 0.9453087204829419, 0.39361932315224116, 0.019953242059045913};

struct Student {
  const double *week, *answered, *right;
  long n;
};

struct Line {
  double e0, e1, l11, l21, l22;
  double intercept(double z0) const { return e0 + l11 * z0; }
  double slope(double z0, double z1) const { return e1 + l21 * z0 + l22 * z1; }
};

// log p(counts, z) without constants; s gets the two sums of residuals.
inline double log_joint(const Student& student, const Line& line, double z0, double z1, double* s) {
  const double c0 = line.intercept(z0), c1 = line.slope(z0, z1);
  double value = -0.5 * (z0 * z0 + z1 * z1);
  s[0] = s[1] = 0;
  for (long j = 0; j < student.n; ++j) {
    const double eta = c0 + c1 * student.week[j], small = std::exp(-std::fabs(eta));
    const double p = eta >= 0 ? 1 / (1 + small) : small / (1 + small);
    value += student.right[j] * eta - student.answered[j] * (std::fmax(eta, 0.0) + std::log1p(small));
    const double residual = student.right[j] - student.answered[j] * p;
    s[0] += residual;
    s[1] += residual * student.week[j];
  }
  return value;
}

// Newton to the mode of one student's z from 0; h gets the negative Hessian there.
inline void find_mode(const Student& student, const Line& line, double* z, double* h) {
  z[0] = z[1] = 0;
  for (int step = 0; step < NEWTON_STEPS; ++step) {
    const double c0 = line.intercept(z[0]), c1 = line.slope(z[0], z[1]);
    double s0 = 0, s1 = 0, v0 = 0, v1 = 0, v2 = 0;
    for (long j = 0; j < student.n; ++j) {
      const double p = 1 / (1 + std::exp(-(c0 + c1 * student.week[j])));
      const double residual = student.right[j] - student.answered[j] * p, v = student.answered[j] * p * (1 - p);
      s0 += residual;
      s1 += residual * student.week[j];
      v0 += v;
      v1 += v * student.week[j];
      v2 += v * student.week[j] * student.week[j];
    }
    const double g0 = -z[0] + line.l11 * s0 + line.l21 * s1, g1 = -z[1] + line.l22 * s1;
    h[0] = 1 + line.l11 * line.l11 * v0 + 2 * line.l11 * line.l21 * v1 + line.l21 * line.l21 * v2;
    h[1] = line.l22 * (line.l11 * v1 + line.l21 * v2);
    h[2] = 1 + line.l22 * line.l22 * v2;
    const double det = h[0] * h[2] - h[1] * h[1];
    const double step0 = (h[2] * g0 - h[1] * g1) / det, step1 = (h[0] * g1 - h[1] * g0) / det;
    const double size = std::fmax(std::fabs(step0), std::fabs(step1));
    const double share = std::fmin(1.0, LONGEST_STEP / std::fmax(size, 1e-300));
    z[0] += share * step0;
    z[1] += share * step1;
    if (!(size >= NEWTON_TOLERANCE)) break;
  }
}

struct CountsEvaluation {
  double value = 0;
  double gradient[5] = {};
};

inline void add_student(const Student& student, const Line& line, CountsEvaluation& sum) {
  double z[2], h[3], s[2];
  find_mode(student, line, z, h);
  const double r00 = std::sqrt(h[0]), r10 = h[1] / r00, r11 = std::sqrt(h[2] - r10 * r10);
  const double at_mode = log_joint(student, line, z[0], z[1], s);
  double total = 0, mean[5] = {};
  for (int a = 0; a < POINTS; ++a) {
    const double x1 = std::sqrt(2.0) * NODE[a] / r11;
    for (int b = 0; b < POINTS; ++b) {
      const double z0 = z[0] + (std::sqrt(2.0) * NODE[b] - r10 * x1) / r00, z1 = z[1] + x1;
      const double value = log_joint(student, line, z0, z1, s) - at_mode + NODE[a] * NODE[a] + NODE[b] * NODE[b];
      const double weight = NODE_WEIGHT[a] * NODE_WEIGHT[b] * std::exp(value);
      total += weight;
      mean[0] += weight * s[0];
      mean[1] += weight * s[1];
      mean[2] += weight * s[0] * z0;
      mean[3] += weight * s[1] * z0;
      mean[4] += weight * s[1] * z1;
    }
  }
  sum.value += at_mode + std::log(total) - std::log(r00 * r11) - LOG_PI;
  for (int k = 0; k < 5; ++k) sum.gradient[k] += mean[k] / total;
}

// rows holds its three columns one after another, n_rows long each.
inline CountsEvaluation evaluate_counts(const double* effects, const double* rows, long n_rows, const double* starts,
                                        long n_students) {
  const Line line{effects[0], effects[1], effects[2], effects[3], effects[4]};
  CountsEvaluation sum;
  for (long i = 0; i < n_students; ++i) {
    const long first = static_cast<long>(starts[i]), n = static_cast<long>(starts[i + 1]) - first;
    add_student({rows + first, rows + n_rows + first, rows + 2 * n_rows + first, n}, line, sum);
  }
  return sum;
}
}  // namespace seedtest

template <typename Effects, typename Rows, typename Starts, require_eigen_vector_vt<is_var, Effects>* = nullptr>
inline var binomial_loglik(const Effects& effects, const Rows& rows, const Starts& starts, std::ostream*) {
  std::vector<var> operands(5);
  double at[5];
  for (int k = 0; k < 5; ++k) {
    operands[k] = effects.coeff(k);
    at[k] = operands[k].val();
  }
  const auto sum = seedtest::evaluate_counts(at, rows.data(), rows.rows(), starts.data(), starts.size() - 1);
  if (!std::isfinite(sum.value)) {
    throw std::domain_error("binomial_loglik: the log likelihood is not finite here");
  }
  return precomputed_gradients(sum.value, operands, std::vector<double>(sum.gradient, sum.gradient + 5));
}

template <typename Effects, typename Rows, typename Starts,
          require_eigen_vector_vt<std::is_arithmetic, Effects>* = nullptr>
inline double binomial_loglik(const Effects& effects, const Rows& rows, const Starts& starts, std::ostream*) {
  return seedtest::evaluate_counts(effects.data(), rows.data(), rows.rows(), starts.data(), starts.size() - 1).value;
}

}  // namespace math
}  // namespace stan
#endif
