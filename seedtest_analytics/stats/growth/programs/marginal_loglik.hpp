// Log likelihood of `score ~ week + (week | student)` with the student effects integrated out, and its gradient.
//
// effects = (e0, e1, l11, l21, l22, log sigma): the population line relative to the reference line, the lower
// triangular L with Sigma = sigma^2 L L', and the log of the weekly SD.
// designs, one row each: m students; A = X'WX (A00, A01, A11); and over the design's students the sums of
// c = X'Wy (c0, c1) and of c c' (q00, q01, q11).
// totals = (N scores, y'Wy, sums of c0, c1, m A00, m A01, m A11).
//
// With r = c - A e, R = sum r, Q = sum r r', C = I + L'A L, K = L C^-1, M = K L', B = I - A M:
//   loglik = -N/2 log 2pi - N log sigma - 1/2 sum m log|C| - (rss - sum tr(M Q)) / (2 sigma^2)
//   d/de   = sum B R / sigma^2
//   d/dL   = sum (B Q / sigma^2 - m A) K
#ifndef SEEDTEST_MARGINAL_LOGLIK_HPP
#define SEEDTEST_MARGINAL_LOGLIK_HPP
#include <stan/model/model_header.hpp>

namespace stan {
namespace math {
namespace seedtest {

// Designs are taken LANES at a time with a sum per lane: the compiler turns each step into vector instructions
// without being allowed to reorder a sum. GCC compiles the loop for AVX2 too and chooses when the program starts.
constexpr int LANES = 8;
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define SEEDTEST_VECTORISED __attribute__((target_clones("avx512f", "arch=haswell", "default")))
#else
#define SEEDTEST_VECTORISED
#endif

struct Sums {
  double log_det = 0, explained = 0, ge0 = 0, ge1 = 0, g11 = 0, g21 = 0, g22 = 0;
};

// One block of LANES designs; x[k] points at column k. A lane with m = 0 adds nothing.
SEEDTEST_VECTORISED inline void add_blocks(const double* const* x, long n_blocks, const double* effects,
                                           double inverse_variance, Sums& total) {
  const double e0 = effects[0], e1 = effects[1], l11 = effects[2], l21 = effects[3], l22 = effects[4];
  double explained[LANES] = {}, ge0[LANES] = {}, ge1[LANES] = {}, g11[LANES] = {}, g21[LANES] = {}, g22[LANES] = {};
  double det_product[LANES], dets[LANES];
  for (int k = 0; k < LANES; ++k) det_product[k] = 1;
  for (long block = 0; block < n_blocks; ++block) {
    bool all_lone = true;
    for (int k = 0; k < LANES; ++k) {
      const long d = block * LANES + k;
      const double m = x[0][d], A00 = x[1][d], A01 = x[2][d], A11 = x[3][d], c0 = x[4][d], c1 = x[5][d];
      const double a0 = A00 * e0 + A01 * e1, a1 = A01 * e0 + A11 * e1;
      const double R0 = c0 - m * a0, R1 = c1 - m * a1;
      const double Q00 = x[6][d] - a0 * (c0 + R0), Q01 = x[7][d] - a0 * c1 - a1 * R0, Q11 = x[8][d] - a1 * (c1 + R1);
      const double h0 = A00 * l11 + A01 * l21, h1 = A01 * l11 + A11 * l21;
      const double C00 = 1 + l11 * h0 + l21 * h1, C01 = l22 * h1, C11 = 1 + l22 * l22 * A11;
      const double det = C00 * C11 - C01 * C01, inverse_det = 1 / det;
      const double K00 = l11 * C11 * inverse_det, K01 = -l11 * C01 * inverse_det;
      const double K10 = (l21 * C11 - l22 * C01) * inverse_det, K11 = (l22 * C00 - l21 * C01) * inverse_det;
      const double M00 = K00 * l11, M01 = K10 * l11, M11 = K10 * l21 + K11 * l22;
      const double B00 = 1 - A00 * M00 - A01 * M01, B01 = -A00 * M01 - A01 * M11;
      const double B10 = -A01 * M00 - A11 * M01, B11 = 1 - A01 * M01 - A11 * M11;
      const double G00 = (B00 * Q00 + B01 * Q01) * inverse_variance - m * A00;
      const double G01 = (B00 * Q01 + B01 * Q11) * inverse_variance - m * A01;
      const double G10 = (B10 * Q00 + B11 * Q01) * inverse_variance - m * A01;
      const double G11 = (B10 * Q01 + B11 * Q11) * inverse_variance - m * A11;
      dets[k] = det;
      explained[k] += M00 * Q00 + 2 * M01 * Q01 + M11 * Q11;
      ge0[k] += B00 * R0 + B01 * R1;
      ge1[k] += B10 * R0 + B11 * R1;
      g11[k] += G00 * K00 + G01 * K10;
      g21[k] += G10 * K00 + G11 * K10;
      g22[k] += G10 * K01 + G11 * K11;
    }
    // det >= 1, so lone students multiply up and need one logarithm in many.
    for (int k = 0; k < LANES; ++k) all_lone &= x[0][block * LANES + k] == 1 && dets[k] < 1e100;
    if (all_lone) {
      for (int k = 0; k < LANES; ++k) det_product[k] *= dets[k];
      for (int k = 0; k < LANES; ++k) {
        if (det_product[k] > 1e200) {
          total.log_det += std::log(det_product[k]);
          det_product[k] = 1;
        }
      }
    } else {
      for (int k = 0; k < LANES; ++k) total.log_det += x[0][block * LANES + k] * std::log(dets[k]);
    }
  }
  for (int k = 0; k < LANES; ++k) {
    total.log_det += std::log(det_product[k]);
    total.explained += explained[k];
    total.ge0 += ge0[k];
    total.ge1 += ge1[k];
    total.g11 += g11[k];
    total.g21 += g21[k];
    total.g22 += g22[k];
  }
}

struct Evaluation {
  double value;
  double gradient[6];
};

// x holds the columns one after another, n_designs long each.
inline Evaluation evaluate(const double* effects, const double* x, long n_designs, const double* totals) {
  const double inverse_variance = std::exp(-2.0 * effects[5]);
  const long n_blocks = n_designs / LANES, rest = n_designs - n_blocks * LANES;
  double padded[9][LANES] = {};
  const double *columns[9], *last[9];
  for (int k = 0; k < 9; ++k) {
    columns[k] = x + k * n_designs;
    for (long d = 0; d < rest; ++d) padded[k][d] = columns[k][n_blocks * LANES + d];
    last[k] = padded[k];
  }
  Sums s;
  add_blocks(columns, n_blocks, effects, inverse_variance, s);
  if (rest > 0) add_blocks(last, 1, effects, inverse_variance, s);
  const double e0 = effects[0], e1 = effects[1], n_scores = totals[0];
  const double rss = totals[1] - 2 * (e0 * totals[2] + e1 * totals[3]) + e0 * e0 * totals[4]
                     + 2 * e0 * e1 * totals[5] + e1 * e1 * totals[6];
  // As sigma shrinks this is a difference of nearly equal numbers; once only rounding error is left, refuse.
  const double residual = rss - s.explained > 1e-11 * rss ? rss - s.explained : NOT_A_NUMBER;
  const double quadratic = residual * inverse_variance;
  const double value = -n_scores * (HALF_LOG_TWO_PI + effects[5]) - 0.5 * (s.log_det + quadratic);
  return {value, {s.ge0 * inverse_variance, s.ge1 * inverse_variance, s.g11, s.g21, s.g22, quadratic - n_scores}};
}
}  // namespace seedtest

template <typename Effects, typename Designs, typename Totals, require_eigen_vector_vt<is_var, Effects>* = nullptr>
inline var marginal_loglik(const Effects& effects, const Designs& designs, const Totals& totals, std::ostream*) {
  std::vector<var> operands(6);
  double at[6];
  for (int k = 0; k < 6; ++k) {
    operands[k] = effects.coeff(k);
    at[k] = operands[k].val();
  }
  const auto result = seedtest::evaluate(at, designs.data(), designs.rows(), totals.data());
  if (!std::isfinite(result.value)) {
    throw std::domain_error("marginal_loglik: the log likelihood is not finite here");
  }
  return precomputed_gradients(result.value, operands, std::vector<double>(result.gradient, result.gradient + 6));
}

template <typename Effects, typename Designs, typename Totals,
          require_eigen_vector_vt<std::is_arithmetic, Effects>* = nullptr>
inline double marginal_loglik(const Effects& effects, const Designs& designs, const Totals& totals, std::ostream*) {
  return seedtest::evaluate(effects.data(), designs.data(), designs.rows(), totals.data()).value;
}

}  // namespace math
}  // namespace stan
#endif
