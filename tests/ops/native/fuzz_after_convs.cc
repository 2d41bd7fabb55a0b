// Cases for what follows a convolution: the pooling and the bounded ReLU.
#include "fuzz_kernels.h"

// Often small; now and then about a whole number of vectors.
static int side(Random& random) {
  if (random.chance(0.1)) return random.one_of({1, 2, 3, 4, 5, 61, 64, 65, 70, 130});
  return random.between(1, 21);
}

static bool same(float a, float b) { return a == b || (isnan(a) && isnan(b)); }

void fuzz_max_pool(Random& random, uint64_t*) {
  const int planes = random.count(5);
  const int height = side(random), width = side(random);
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

void fuzz_upsample(Random& random, uint64_t*) {
  const int planes = random.count(5), height = side(random), width = side(random);
  const int rows = random.between(random.chance(0.2) ? 1 : 2 * height - 1, 2 * height);
  const int columns = random.between(random.chance(0.2) ? 1 : 2 * width - 1, 2 * width);
  const size_t plane = size_t(height) * size_t(width), out_plane = size_t(rows) * size_t(columns);
  Floats data(random, size_t(planes) * plane), grad_data(random, data.count());
  Floats out(random, size_t(planes) * out_plane), grad_out(random, out.count());
  data.fill(random, -2, 2);
  grad_out.fill(random, -2, 2);
  succeeded(detkit_upsample(planes, height, width, rows, columns, data.data(), out.data()));
  succeeded(detkit_upsample_backward(planes, height, width, rows, columns, grad_out.data(),
                                     grad_data.data()));
  out.written("out");
  grad_data.written("grad_data");
  for (size_t i = 0; i < data.count(); ++i) {
    const size_t y = i % plane / size_t(width), x = i % size_t(width);
    float sum = 0;
    for (size_t row = 2 * y; row < std::min(2 * y + 2, size_t(rows)); ++row) {
      float of_row = 0;
      for (size_t column = 2 * x; column < std::min(2 * x + 2, size_t(columns)); ++column) {
        const size_t at = i / plane * out_plane + row * size_t(columns) + column;
        require(same(out[at], data[i]), "out[%zu] = %g, not %g", at, double(out[at]),
                double(data[i]));
        of_row += grad_out[at];
      }
      sum += of_row;
    }
    require(same(grad_data[i], sum), "grad_data[%zu] = %g, not %g", i, double(grad_data[i]),
            double(sum));
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
