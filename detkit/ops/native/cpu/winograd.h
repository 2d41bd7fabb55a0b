// Winograd's minimal filtering (Winograd 1980; Lavin and Gray 2016): a tile of 4 x 4 outputs of a
// 3x3 convolution by 36 products of inputs and weights instead of 144.
//
// A tile of 6 x 6 inputs and the 3 x 3 weights are both polynomials, which are evaluated at the
// same points. The values at a point are multiplied and summed over the channels, and a last
// transform makes the outputs of the sums. A square is transformed along y and then along x. In the
// gradient of the weights, the 4 x 4 gradients of a tile's outputs are the polynomial instead of
// the weights, and the sums are over the tiles.
//
// The points are 0, +-kNear, +-kFar and infinity. With the usual 1 and 2, the largest rounding
// error is 8 times that of a plain sum, with 5/8 and 3/2 it is 2.4 times (random inputs
// after a ReLU, 256 channels). All factors that are applied to single precision are exact in it.
#pragma once

#include "simd.h"

namespace detkit {
namespace DETKIT_ISA {

constexpr int kTile = 4;                      // outputs of a tile along an axis
constexpr int kPoints = 6;                    // points, and inputs of a tile, along an axis
constexpr int kProducts = kPoints * kPoints;  // of a tile
constexpr int kTaps = 3;                      // weights along an axis

constexpr double kNear = 0.625, kFar = 1.5;
constexpr double kNear2 = kNear * kNear, kFar2 = kFar * kFar;

// The values at a point of both polynomials together lack this factor.
constexpr double kAtZero = 1 / (kNear2 * kFar2);
constexpr double kAtNear = 1 / (2 * kNear2 * (kNear2 - kFar2));
constexpr double kAtFar = 1 / (2 * kFar2 * (kFar2 - kNear2));

typedef double Doubles __attribute__((vector_size(8 * kLanes)));

// Along one axis, the inputs d of a tile to their values v at the points.
inline void inputs_to_points(const Floats (&d)[kPoints], Floats (&v)[kPoints]) {
  constexpr float kSum = static_cast<float>(kNear2 + kFar2);
  constexpr float kProduct = static_cast<float>(kNear2 * kFar2);
  const Floats near_even = d[4] - static_cast<float>(kFar2) * d[2];
  const Floats near_odd = d[3] - static_cast<float>(kFar2) * d[1];
  const Floats far_even = d[4] - static_cast<float>(kNear2) * d[2];
  const Floats far_odd = d[3] - static_cast<float>(kNear2) * d[1];
  v[0] = d[0] * kProduct + (d[4] - kSum * d[2]);
  v[1] = near_even + static_cast<float>(kNear) * near_odd;
  v[2] = near_even - static_cast<float>(kNear) * near_odd;
  v[3] = far_even + static_cast<float>(kFar) * far_odd;
  v[4] = far_even - static_cast<float>(kFar) * far_odd;
  v[5] = d[1] * kProduct + (d[5] - kSum * d[3]);
}

// Along one axis, the sums m at the points to the outputs y of a tile.
inline void points_to_outputs(const Floats (&m)[kPoints], Floats (&y)[kTile]) {
  constexpr float kNear3 = static_cast<float>(kNear2 * kNear);
  constexpr float kFar3 = static_cast<float>(kFar2 * kFar);
  const Floats near_even = m[1] + m[2], near_odd = m[1] - m[2];
  const Floats far_even = m[3] + m[4], far_odd = m[3] - m[4];
  y[0] = m[0] + near_even + far_even;
  y[1] = static_cast<float>(kNear) * near_odd + static_cast<float>(kFar) * far_odd;
  y[2] = static_cast<float>(kNear2) * near_even + static_cast<float>(kFar2) * far_even;
  y[3] = m[5] + kNear3 * near_odd + kFar3 * far_odd;
}

// Along one axis, the weights g to their values u at the points. Weights are few: doubles are
// cheap.
inline void weights_to_points(const Doubles (&g)[kTaps], Doubles (&u)[kPoints]) {
  const Doubles near_even = kAtNear * (g[0] + kNear2 * g[2]), near_odd = kAtNear * kNear * g[1];
  const Doubles far_even = kAtFar * (g[0] + kFar2 * g[2]), far_odd = kAtFar * kFar * g[1];
  u[0] = kAtZero * g[0];
  u[1] = near_even + near_odd;
  u[2] = near_even - near_odd;
  u[3] = far_even + far_odd;
  u[4] = far_even - far_odd;
  u[5] = g[2];
}

// Along one axis, the gradients e of a tile's outputs to their values v at the points, without the
// factors kAt..., which points_to_weights applies.
inline void gradients_to_points(const Floats (&e)[kTile], Floats (&v)[kPoints]) {
  const Floats near_even = e[0] + static_cast<float>(kNear2) * e[2];
  const Floats near_odd = e[1] + static_cast<float>(kNear2) * e[3];
  const Floats far_even = e[0] + static_cast<float>(kFar2) * e[2];
  const Floats far_odd = e[1] + static_cast<float>(kFar2) * e[3];
  v[0] = e[0];
  v[1] = near_even + static_cast<float>(kNear) * near_odd;
  v[2] = near_even - static_cast<float>(kNear) * near_odd;
  v[3] = far_even + static_cast<float>(kFar) * far_odd;
  v[4] = far_even - static_cast<float>(kFar) * far_odd;
  v[5] = e[3];
}

// Along one axis, the sums s at the points to the gradients w of the weights.
inline void points_to_weights(const Doubles (&s)[kPoints], Doubles (&w)[kTaps]) {
  const Doubles near_even = kAtNear * (s[1] + s[2]), near_odd = kAtNear * (s[1] - s[2]);
  const Doubles far_even = kAtFar * (s[3] + s[4]), far_odd = kAtFar * (s[3] - s[4]);
  w[0] = kAtZero * s[0] + near_even + far_even;
  w[1] = kNear * near_odd + kFar * far_odd;
  w[2] = kNear2 * near_even + kFar2 * far_even + s[5];
}

}  // namespace DETKIT_ISA
}  // namespace detkit
