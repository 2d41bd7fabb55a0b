// Cases for the 3x3 convolution, some numbers of each against plain sums, and for what follows it.
#include "fuzz_kernels.h"

namespace {

constexpr int kSampled = 24;                // numbers of each array that are compared
constexpr int64_t kMostProducts = 1 << 22;  // of pixels and pairs of channels, of a case
constexpr double kShare = 1e-5;  // rounding errors, of the largest sum that there could be

// Memory of exactly so many bytes from a multiple of 64 on, full of NaN.
class Workspace {
 public:
  explicit Workspace(int64_t bytes) {
    const size_t count = size_t(bytes);
    require(bytes > 0 && count % 64 == 0, "a workspace of %lld bytes", (long long)(bytes));
    memory_ = aligned_alloc(64, count);
    memset(memory_, 0xff, count);
  }
  Workspace(const Workspace&) = delete;
  ~Workspace() { free(memory_); }
  void* memory() const { return memory_; }

 private:
  void* memory_;
};

// A sum of products: its value, its terms, and whether some are NaN or infinite.
struct Sum {
  double value = 0;
  int terms = 0;
  bool has_nan = false, has_infinity = false;

  void add(float a, float b) {
    value += double(a) * b;
    ++terms;
    has_nan = has_nan || isnan(a) || isnan(b);
    has_infinity = has_infinity || isinf(a) || isinf(b);
  }
};

float largest(const Floats& values) {
  float found = 0;
  for (size_t i = 0; i < values.count(); ++i) found = std::max(found, fabsf(values[i]));
  return found;
}

bool same(float a, float b) { return a == b || (isnan(a) && isnan(b)); }

// One convolution: its arrays, and room for all that the kernels write.
struct ConvCase {
  DetkitConv3x3 conv;
  bool strange;  // there may be NaN and infinities in the arrays
  Floats data, weights, bias, out, grad_out, grad_data, grad_weights, grad_bias;

  explicit ConvCase(Random& random)
      : conv(draw(random)),
        strange(!random.ordinary()),
        data(random, size_t(conv.images) * size_t(conv.in_channels) * plane()),
        weights(random, size_t(conv.out_channels) * size_t(conv.in_channels) * 9),
        bias(random, size_t(conv.out_channels)),
        out(random, size_t(conv.images) * size_t(conv.out_channels) * plane()),
        grad_out(random, out.count()),
        grad_data(random, data.count()),
        grad_weights(random, weights.count()),
        grad_bias(random, bias.count()) {
    data.fill(random, -2, 2);
    weights.fill(random, -1, 1);
    bias.fill(random, -1, 1);
    grad_out.fill(random, -2, 2);
  }

  static DetkitConv3x3 draw(Random& random) {
    DetkitConv3x3 conv = {};
    conv.images = random.chance(0.04) ? 0 : random.between(1, 3);
    conv.in_channels = channels(random), conv.out_channels = channels(random);
    conv.height = side(random), conv.width = side(random);
    conv.relu = random.between(0, 1);
    const int64_t pairs = int64_t(conv.in_channels) * conv.out_channels * conv.images;
    while (pairs * conv.height * conv.width > kMostProducts) {
      conv.height = (conv.height + 1) / 2, conv.width = (conv.width + 1) / 2;
    }
    return conv;
  }
  // Often few; now and then about a whole number of vectors, of blocks or of groups.
  static int channels(Random& random) {
    if (random.chance(0.1)) return random.one_of({15, 16, 17, 31, 32, 33, 63, 64, 65});
    return random.between(1, random.chance(0.05) ? 140 : 10);
  }
  static int side(Random& random) {
    if (random.chance(0.1)) return random.one_of({1, 2, 3, 4, 5, 61, 64, 65, 70, 130});
    return random.between(1, 21);
  }

  size_t plane() const { return size_t(conv.height) * size_t(conv.width); }
  size_t at_weight(int o, int i, int tap) const {
    return (size_t(o) * size_t(conv.in_channels) + size_t(i)) * 9 + size_t(tap);
  }
  size_t at_map(int image, int channels, int channel) const {
    return (size_t(image) * size_t(channels) + size_t(channel)) * plane();
  }
  // The gradient before the ReLU.
  float gradient(size_t i) const { return !conv.relu || out[i] > 0 ? grad_out[i] : 0.0f; }

  // Calls body(tap, position in a map) for the taps of the pixel (y, x) that lie in the map.
  template <class Body>
  void neighbours(int y, int x, const Body& body) const {
    for (int tap = 0; tap < 9; ++tap) {
      const int row = y + tap / 3 - 1, column = x + tap % 3 - 1;
      if (row < 0 || row >= conv.height || column < 0 || column >= conv.width) continue;
      body(tap, size_t(row) * size_t(conv.width) + size_t(column));
    }
  }

  // most: the largest product that there could be.
  void matches(const char* name, size_t i, float found, const Sum& sum, float most) const {
    if (sum.has_nan) require(isnan(found), "%s[%zu] = %g hides a NaN", name, i, found);
    if (sum.has_infinity) {
      require(!isfinite(found), "%s[%zu] = %g hides an infinity", name, i, found);
    }
    if (strange) return;
    const double tolerance = kShare * most * (sum.terms + 1);
    require(fabs(found - sum.value) <= tolerance, "%s[%zu] = %g, not %g +- %g", name, i,
            double(found), sum.value, tolerance);
  }
};

void check_output(const ConvCase& c, Random& random, bool has_bias) {
  const float most = largest(c.data) * largest(c.weights) + (has_bias ? 1.0f : 0.0f);
  for (int n = 0; n < kSampled && c.out.count() > 0; ++n) {
    const int image = random.between(0, c.conv.images - 1);
    const int o = random.between(0, c.conv.out_channels - 1);
    const int y = random.between(0, c.conv.height - 1), x = random.between(0, c.conv.width - 1);
    Sum sum;
    if (has_bias) sum.add(c.bias[size_t(o)], 1);
    for (int i = 0; i < c.conv.in_channels; ++i) {
      const size_t map = c.at_map(image, c.conv.in_channels, i);
      c.neighbours(y, x, [&](int tap, size_t at) {
        sum.add(c.data[map + at], c.weights[c.at_weight(o, i, tap)]);
      });
    }
    if (c.conv.relu) {
      sum.value = std::max(sum.value, 0.0);
      sum.has_infinity = false;  // there may be nothing left of it
    }
    const size_t at = c.at_map(image, c.conv.out_channels, o) + size_t(y) * size_t(c.conv.width);
    c.matches("out", at + size_t(x), c.out[at + size_t(x)], sum, most);
  }
}

void check_grad_data(const ConvCase& c, Random& random) {
  const float most = largest(c.grad_out) * largest(c.weights);
  for (int n = 0; n < kSampled && c.data.count() > 0; ++n) {
    const int image = random.between(0, c.conv.images - 1);
    const int i = random.between(0, c.conv.in_channels - 1);
    const int y = random.between(0, c.conv.height - 1), x = random.between(0, c.conv.width - 1);
    Sum sum;
    for (int o = 0; o < c.conv.out_channels; ++o) {
      const size_t map = c.at_map(image, c.conv.out_channels, o);
      c.neighbours(y, x, [&](int tap, size_t at) {
        sum.add(c.gradient(map + at), c.weights[c.at_weight(o, i, 8 - tap)]);
      });
    }
    const size_t at = c.at_map(image, c.conv.in_channels, i) + size_t(y) * size_t(c.conv.width);
    c.matches("grad_data", at + size_t(x), c.grad_data[at + size_t(x)], sum, most);
  }
}

void check_grad_weights(const ConvCase& c, Random& random) {
  const float most = largest(c.grad_out) * largest(c.data);
  for (int n = 0; n < kSampled; ++n) {
    const int o = random.between(0, c.conv.out_channels - 1);
    const int i = random.between(0, c.conv.in_channels - 1);
    const int asked = random.between(0, 8);
    Sum sum;
    for (int image = 0; image < c.conv.images; ++image) {
      const size_t data = c.at_map(image, c.conv.in_channels, i);
      size_t out = c.at_map(image, c.conv.out_channels, o);
      for (int y = 0; y < c.conv.height; ++y) {
        for (int x = 0; x < c.conv.width; ++x, ++out) {
          c.neighbours(y, x, [&](int tap, size_t at) {
            if (tap == asked) sum.add(c.data[data + at], c.gradient(out));
          });
        }
      }
    }
    const size_t at = c.at_weight(o, i, asked);
    c.matches("grad_weights", at, c.grad_weights[at], sum, most);
  }
}

void check_grad_bias(const ConvCase& c) {
  const float most = largest(c.grad_out);
  for (int o = 0; o < c.conv.out_channels; ++o) {
    Sum sum;
    for (int image = 0; image < c.conv.images; ++image) {
      const size_t map = c.at_map(image, c.conv.out_channels, o);
      for (size_t i = 0; i < c.plane(); ++i) sum.add(c.gradient(map + i), 1);
    }
    c.matches("grad_bias", size_t(o), c.grad_bias[size_t(o)], sum, most);
  }
}

}  // namespace

void fuzz_conv3x3(Random& random, uint64_t*) {
  ConvCase c(random);
  int64_t forward = 0, backward = 0;
  succeeded(detkit_conv3x3_workspace(&c.conv, &forward, &backward));
  const bool has_bias = random.chance(0.5), needs_data = random.chance(0.8);
  {
    const Workspace workspace(forward);
    succeeded(detkit_conv3x3(&c.conv, c.data.data(), c.weights.data(),
                             has_bias ? c.bias.data() : nullptr, workspace.memory(), c.out.data()));
  }
  c.out.written("out");
  check_output(c, random, has_bias);
  {
    const Workspace workspace(backward);
    succeeded(detkit_conv3x3_backward(
        &c.conv, c.data.data(), c.weights.data(), c.out.data(), c.grad_out.data(),
        workspace.memory(), needs_data ? c.grad_data.data() : nullptr, c.grad_weights.data(),
        has_bias ? c.grad_bias.data() : nullptr));
  }
  c.grad_weights.written("grad_weights");
  check_grad_weights(c, random);
  if (needs_data) {
    c.grad_data.written("grad_data");
    check_grad_data(c, random);
  }
  if (has_bias) {
    c.grad_bias.written("grad_bias");
    check_grad_bias(c);
  }
}

void fuzz_max_pool(Random& random, uint64_t*) {
  const int planes = random.count(5);
  const int height = ConvCase::side(random), width = ConvCase::side(random);
  const size_t plane = size_t(height) * size_t(width), row = size_t(width);
  const size_t rows = size_t(height) / 2, columns = size_t(width) / 2;
  Floats data(random, size_t(planes) * plane), grad_data(random, data.count());
  Floats out(random, size_t(planes) * rows * columns), grad_out(random, out.count());
  data.fill(random, -2, 2);
  grad_out.fill(random, -2, 2);
  succeeded(detkit_max_pool(planes, height, width, data.data(), out.data()));
  succeeded(detkit_max_pool_backward(planes, height, width, data.data(), grad_out.data(),
                                     grad_data.data()));
  out.written("out");
  grad_data.written("grad_data");
  for (size_t i = 0; i < out.count(); ++i) {
    const size_t y = i / columns % rows, x = i % columns;
    const size_t first = i / (rows * columns) * plane + 2 * y * row + 2 * x;
    const size_t cells[4] = {first, first + 1, first + row, first + row + 1};
    size_t best = cells[0];
    for (const size_t cell : cells) {
      if (data[cell] > data[best] || (isnan(data[cell]) && !isnan(data[best]))) best = cell;
    }
    require(same(out[i], data[best]), "out[%zu] = %g, not %g", i, double(out[i]),
            double(data[best]));
    for (const size_t cell : cells) {
      const float expected = cell == best ? grad_out[i] : 0.0f;
      require(same(grad_data[cell], expected), "grad_data[%zu] = %g, not %g", cell,
              double(grad_data[cell]), double(expected));
    }
  }
}

void fuzz_rectify(Random& random, uint64_t*) {
  const size_t count =
      size_t(random.chance(0.05) ? random.between(16000, 40000) : random.count(70));
  const float most = random.one_of({1.f, 6.f, 1e-3f});
  Floats data(random, count), out(random, count), grad_out(random, count), grad(random, count);
  data.fill(random, -8, 8);
  grad_out.fill(random, -2, 2);
  succeeded(detkit_rectify(int64_t(count), most, data.data(), out.data()));
  succeeded(
      detkit_rectify_backward(int64_t(count), most, out.data(), grad_out.data(), grad.data()));
  out.written("out");
  grad.written("grad_data");
  for (size_t i = 0; i < count; ++i) {
    const float expected = isnan(data[i]) ? data[i] : std::min(std::max(data[i], 0.0f), most);
    require(same(out[i], expected), "out[%zu] = %g, not %g", i, double(out[i]), double(expected));
    const float passed = out[i] > 0 && out[i] < most ? grad_out[i] : 0.0f;
    require(same(grad[i], passed), "grad_data[%zu] = %g, not %g", i, double(grad[i]),
            double(passed));
  }
}
