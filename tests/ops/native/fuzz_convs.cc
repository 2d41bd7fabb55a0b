// Cases for the convolutions, some numbers of each against plain sums.
#include "fuzz_convs.h"

namespace {

constexpr int kSampled = 24;  // numbers of each array that are compared
// Rounding errors, of the largest sum that there could be.
constexpr double kShare = 1e-5;
constexpr double kBfloat16Share[] = {4e-3, 2e-2};  // of 1x1 and of 3x3 weights

float largest(const Floats& values) {
  float found = 0;
  for (size_t i = 0; i < values.count(); ++i) found = std::max(found, fabsf(values[i]));
  return found;
}

// One convolution: its arrays, and room for all that the kernels write.
struct ConvCase {
  Shape shape;
  int relu;
  float most;
  int bfloat16;
  bool has_bias, has_residual, needs_data;
  bool strange;  // there may be NaN and infinities in the arrays
  Floats data, weights, bias, residual, out;
  Floats grad_out, grad_data, grad_weights, grad_bias, grad_residual;

  ConvCase(Random& random, const Shape& shape, bool may_have_residual, bool may_lack_data)
      : shape(shape),
        relu(random.between(0, 1)),
        most(random.one_of({INFINITY, 6.f, 0.5f})),
        bfloat16(!shape.depthwise && random.chance(0.3)),
        has_bias(random.chance(0.5)),
        has_residual(may_have_residual && random.chance(0.5)),
        needs_data(!may_lack_data || random.chance(0.8)),
        strange(!random.ordinary()),
        data(random, shape.in_count()),
        weights(random, shape.weight_count()),
        bias(random, size_t(shape.out_channels)),
        residual(random, shape.out_count()),
        out(random, shape.out_count()),
        grad_out(random, out.count()),
        grad_data(random, data.count()),
        grad_weights(random, weights.count()),
        grad_bias(random, bias.count()),
        grad_residual(random, out.count()) {
    data.fill(random, -2, 2);
    weights.fill(random, -1, 1);
    bias.fill(random, -1, 1);
    residual.fill(random, -1, 1);
    grad_out.fill(random, -2, 2);
  }

  const float* bias_or_null() const { return has_bias ? bias.data() : nullptr; }
  float* grad_bias_or_null() const { return has_bias ? grad_bias.data() : nullptr; }
  float* grad_data_or_null() const { return needs_data ? grad_data.data() : nullptr; }

  // The gradient before the ReLU.
  float gradient(size_t i) const {
    return !relu || (out[i] > 0 && out[i] < most) ? grad_out[i] : 0.0f;
  }

  double share() const { return bfloat16 ? kBfloat16Share[shape.kernel > 1] : kShare; }

  // most_product: the largest product that there could be.
  void matches(const char* name, size_t i, float found, const Sum& sum, float most_product,
               double share = kShare) const {
    if (sum.has_nan) require(isnan(found), "%s[%zu] = %g hides a NaN", name, i, found);
    if (sum.has_infinity) {
      require(!isfinite(found), "%s[%zu] = %g hides an infinity", name, i, found);
    }
    if (strange) return;
    const double tolerance = share * most_product * (sum.terms + 1);
    require(fabs(found - sum.value) <= tolerance, "%s[%zu] = %g, not %g +- %g", name, i,
            double(found), sum.value, tolerance);
  }
};

void check_output(const ConvCase& c, Random& random) {
  const Shape& s = c.shape;
  const float most = largest(c.data) * largest(c.weights) + 2.0f;  // bias and residual
  for (int n = 0; n < kSampled && c.out.count() > 0; ++n) {
    const int image = random.between(0, s.images - 1), o = random.between(0, s.out_channels - 1);
    const int y = random.between(0, s.rows() - 1), x = random.between(0, s.columns() - 1);
    const size_t at = s.out_map(image, o) + size_t(y) * size_t(s.columns()) + size_t(x);
    Sum sum;
    if (c.has_bias) sum.add(c.bias[size_t(o)], 1);
    if (c.has_residual) sum.add(c.residual[at], 1);
    for (int i = 0; i < s.depth(); ++i) {
      const size_t map = s.in_map(image, s.input(o, i));
      s.inputs_of(y, x, [&](int tap, size_t in) {
        sum.add(c.data[map + in], c.weights[s.at_weight(o, i, tap)]);
      });
    }
    if (c.relu) {
      sum.value = std::min(std::max(sum.value, 0.0), double(c.most));
      sum.has_infinity = false;  // there may be nothing left of it
    }
    c.matches("out", at, c.out[at], sum, most, c.share());
  }
}

void check_grad_data(const ConvCase& c, Random& random) {
  const Shape& s = c.shape;
  const float most = largest(c.grad_out) * largest(c.weights);
  for (int n = 0; n < kSampled && c.data.count() > 0; ++n) {
    const int image = random.between(0, s.images - 1), i = random.between(0, s.in_channels - 1);
    const int y = random.between(0, s.height - 1), x = random.between(0, s.width - 1);
    Sum sum;
    for (int o = s.depthwise ? i : 0; o < (s.depthwise ? i + 1 : s.out_channels); ++o) {
      const size_t map = s.out_map(image, o);
      s.outputs_of(y, x, [&](int tap, size_t out) {
        sum.add(c.gradient(map + out), c.weights[s.at_weight(o, s.depthwise ? 0 : i, tap)]);
      });
    }
    const size_t at = s.in_map(image, i) + size_t(y) * size_t(s.width) + size_t(x);
    c.matches("grad_data", at, c.grad_data[at], sum, most, c.share());
  }
}

void check_grad_weights(const ConvCase& c, Random& random) {
  const Shape& s = c.shape;
  const float most = largest(c.grad_out) * largest(c.data);
  for (int n = 0; n < kSampled; ++n) {
    const int o = random.between(0, s.out_channels - 1), i = random.between(0, s.depth() - 1);
    const int asked = random.between(0, s.taps() - 1);
    Sum sum;
    for (int image = 0; image < s.images; ++image) {
      const size_t data = s.in_map(image, s.input(o, i));
      size_t out = s.out_map(image, o);
      for (int y = 0; y < s.rows(); ++y) {
        for (int x = 0; x < s.columns(); ++x, ++out) {
          s.inputs_of(y, x, [&](int tap, size_t in) {
            if (tap == asked) sum.add(c.data[data + in], c.gradient(out));
          });
        }
      }
    }
    const size_t at = s.at_weight(o, i, asked);
    c.matches("grad_weights", at, c.grad_weights[at], sum, most);
  }
}

void check_grad_bias(const ConvCase& c) {
  const float most = largest(c.grad_out);
  for (int o = 0; o < c.shape.out_channels; ++o) {
    Sum sum;
    for (int image = 0; image < c.shape.images; ++image) {
      const size_t map = c.shape.out_map(image, o);
      for (size_t i = 0; i < c.shape.out_plane(); ++i) sum.add(c.gradient(map + i), 1);
    }
    c.matches("grad_bias", size_t(o), c.grad_bias[size_t(o)], sum, most);
  }
}

void check(const ConvCase& c, Random& random) {
  c.out.written("out");
  check_output(c, random);
  c.grad_weights.written("grad_weights");
  check_grad_weights(c, random);
  if (c.needs_data) {
    c.grad_data.written("grad_data");
    check_grad_data(c, random);
  }
  if (c.has_bias) {
    c.grad_bias.written("grad_bias");
    check_grad_bias(c);
  }
}

}  // namespace

// Kept weights give the same bits as those that are transformed in the call.
static void check_kept(DetkitConv3x3 conv, const ConvCase& c, Random& random) {
  if (!conv.keeps) return;
  const Floats again(random, c.out.count());
  for (const int keeps : {1, 0}) {
    conv.keeps = keeps;
    int64_t forward = 0, backward = 0;
    succeeded(detkit_conv3x3_workspace(&conv, &forward, &backward));
    succeeded(detkit_conv3x3(&conv, c.data.data(), c.weights.data(), c.bias_or_null(),
                             Workspace(forward).memory(), again.data()));
    require(memcmp(again.data(), c.out.data(), c.out.count() * sizeof(float)) == 0,
            "the bits differ, keeps = %d", keeps);
  }
}

// A convolution that pools gives the same as a pooling after it, unless the bias is infinite: it is
// added to the maximum, and then makes no NaN of the smaller cells.
static void check_pooled(DetkitConv3x3 conv, const ConvCase& c, Random& random) {
  if (conv.height < 2 || conv.width < 2 || !random.chance(0.3)) return;
  const int64_t planes = int64_t{conv.images} * conv.out_channels;
  const size_t cells = size_t(conv.height / 2) * size_t(conv.width / 2);
  const Floats expected(random, size_t(planes) * cells), found(random, expected.count());
  succeeded(detkit_max_pool(planes, conv.height, conv.width, c.out.data(), expected.data()));
  conv.pools = 1;
  int64_t forward = 0, backward = 0;
  succeeded(detkit_conv3x3_workspace(&conv, &forward, &backward));
  succeeded(detkit_conv3x3(&conv, c.data.data(), c.weights.data(), c.bias_or_null(),
                           Workspace(forward).memory(), found.data()));
  for (size_t i = 0; i < found.count(); ++i) {
    const size_t channel = i / cells % size_t(conv.out_channels);
    if (c.has_bias && !isfinite(c.bias[channel])) continue;
    require(found[i] == expected[i] || (isnan(found[i]) && isnan(expected[i])),
            "pooled[%zu] = %g, not %g", i, double(found[i]), double(expected[i]));
  }
}

void fuzz_conv3x3(Random& random, uint64_t*) {
  const Shape s(random, 3, false, false);
  const ConvCase c(random, s, false, true);
  const DetkitConv3x3 conv = {s.images, s.in_channels, s.out_channels, s.height,           s.width,
                              c.relu,   c.most,        c.bfloat16,     random.chance(0.3), 0};
  int64_t forward = 0, backward = 0;
  succeeded(detkit_conv3x3_workspace(&conv, &forward, &backward));
  succeeded(detkit_conv3x3(&conv, c.data.data(), c.weights.data(), c.bias_or_null(),
                           Workspace(forward).memory(), c.out.data()));
  check_kept(conv, c, random);
  check_pooled(conv, c, random);
  succeeded(detkit_conv3x3_backward(&conv, c.data.data(), c.weights.data(), c.out.data(),
                                    c.grad_out.data(), Workspace(backward).memory(),
                                    c.grad_data_or_null(), c.grad_weights.data(),
                                    c.grad_bias_or_null()));
  check(c, random);
}

void fuzz_conv1x1(Random& random, uint64_t*) {
  const Shape s(random, 1, true, false);
  const ConvCase c(random, s, true, true);
  const DetkitConv1x1 conv = {s.images, s.in_channels, s.out_channels, s.height,  s.width,
                              s.stride, c.relu,        c.most,         c.bfloat16};
  int64_t forward = 0, backward = 0;
  succeeded(detkit_conv1x1_workspace(&conv, &forward, &backward));
  succeeded(detkit_conv1x1(&conv, c.data.data(), c.weights.data(), c.bias_or_null(),
                           c.has_residual ? c.residual.data() : nullptr,
                           Workspace(forward).memory(), c.out.data()));
  succeeded(detkit_conv1x1_backward(
      &conv, c.data.data(), c.weights.data(), c.out.data(), c.grad_out.data(),
      Workspace(backward).memory(), c.grad_data_or_null(), c.grad_weights.data(),
      c.grad_bias_or_null(), c.has_residual ? c.grad_residual.data() : nullptr));
  check(c, random);
  for (size_t i = 0; c.has_residual && i < c.out.count(); ++i) {
    const float expected = c.gradient(i), found = c.grad_residual[i];
    require(found == expected || (isnan(found) && isnan(expected)),
            "grad_residual[%zu] = %g, not %g", i, double(found), double(expected));
  }
}

void fuzz_depthwise(Random& random, uint64_t*) {
  const Shape s(random, 3, true, true);
  const ConvCase c(random, s, false, false);
  const DetkitDepthwise conv = {s.images, s.in_channels, s.height, s.width,
                                s.stride, c.relu,        c.most};
  int64_t forward = 0, backward = 0;
  succeeded(detkit_depthwise_workspace(&conv, &forward, &backward));
  succeeded(detkit_depthwise(&conv, c.data.data(), c.weights.data(), c.bias_or_null(),
                             Workspace(forward).memory(), c.out.data()));
  succeeded(detkit_depthwise_backward(&conv, c.data.data(), c.weights.data(), c.out.data(),
                                      c.grad_out.data(), Workspace(backward).memory(),
                                      c.grad_data.data(), c.grad_weights.data(),
                                      c.grad_bias_or_null()));
  check(c, random);
}
