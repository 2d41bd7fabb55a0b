// A 1x1 convolution: a product of weights and pixels. A block of pixels is packed once, all its
// channels, and stays in the cache while the outputs are made.
#include "conv1x1.h"

#include "../checks.h"
#include "products.h"
#include "threads.h"

namespace detkit {
namespace DETKIT_ISA {
namespace {

constexpr int kPixels = kColumns * kLanes;  // of a column, whose sums stay in registers
constexpr int kCache = 1 << 17;             // floats of a block
constexpr int kMostColumns = 16;            // of a block
constexpr int kAhead = 4;                   // channels that are fetched before they are packed

// The arrays of a product.
struct Plan {
  explicit Plan(const PixelProduct& product)
      : product(product),
        threads(available_threads()),
        panels((product.out + kRows - 1) / kRows),
        all_columns((product.grid.count + kPixels - 1) / kPixels),
        depth(depth_of(product.in)),
        columns(columns_of_block()),
        blocks((all_columns + columns - 1) / columns),
        column(static_cast<size_t>(depth) * kPixels + kLanes) {}

  const PixelProduct& product;
  const int threads, panels;
  const int64_t all_columns;
  const int depth;
  const int columns;  // of a block
  const int64_t blocks;
  const size_t column;  // factors

  // Into how many parts the outputs of each block are split, so that all threads have work until
  // the end. Each part packs the block again. Times are in instructions for a vector of pixels.
  int parts() const {
    const double packing = 6.0 * product.in, panel = kRows * (depth + 4.0);
    int best = 1;
    double least = 0;
    for (int parts = 1; parts <= panels && parts <= 4 * threads; ++parts) {
      const int64_t rounds = (blocks * parts + threads - 1) / threads;
      const int each = (panels + parts - 1) / parts;
      const double time = static_cast<double>(rounds) * (packing + each * panel);
      if (parts == 1 || time < 0.98 * least) best = parts, least = time;
    }
    return best;
  }

 private:
  int columns_of_block() const {
    const int64_t shared = all_columns / (4 * threads);
    int columns = kCache / (depth * kPixels);
    if (columns > kMostColumns) columns = kMostColumns;
    if (columns > shared) columns = static_cast<int>(shared);
    return columns > 1 ? columns : 1;
  }
};

// What one thread works in.
struct Own {
  Own(Arena* arena, const Plan& plan)
      : points(arena->take<Factor>(plan.columns * plan.column)),
        row(row_memory(plan.product.in)),
        rows(arena->take<Factor>(kRows * row)),
        sums(arena->take<float>(kRows * kPixels + kLanes)),
        runs(arena->take<Run>(static_cast<size_t>(plan.columns) * kPixels)) {}

  Factor* const points;  // [column][input][pixel]
  const size_t row;
  Factor* const rows;  // of weights, if they are converted
  float* const sums;   // [output of a panel][pixel]
  Run* const runs;
};

// What is written for a panel of outputs.
struct Outputs {
  const float *bias, *residual;
  float* out;
  bool past_cache;
};

// The inputs of a block to columns. A run may write a vector past its end, before the next one.
void pack(const Plan& plan, const float* data, int runs, const Own& own) {
  const PixelProduct& product = plan.product;
  const Layout& from = product.from;
  for (int input = 0; input < product.in; ++input) {
    const PointsStore store(input, product.in);
    for (const Run* run = own.runs; run < own.runs + runs; ++run) {
      const size_t map = static_cast<size_t>(run->image) * product.in + input;
      const float* pixels = data + map * from.plane + from.at(run->y, run->x);
      Factor* to = own.points + run->start / kPixels * plan.column +
                   static_cast<size_t>(input / kDeep) * kPixels + run->start % kPixels;
      for (int i = 0; i < run->count; i += kLanes) {
        __builtin_prefetch(pixels + kAhead * from.plane);
        store(to + i, load_pixels(pixels, from.stride, run->count - i), run->count - i);
        pixels += kLanes * from.stride;
      }
    }
  }
}

// The sums of a panel and a run to outputs.
void store_run(const PixelProduct& product, const Outputs& outputs, int panel, const Run& run,
               const float* sums) {
  const int first = panel * kRows;
  const int rows = product.out - first < kRows ? product.out - first : kRows;
  for (int row = 0; row < rows; ++row, sums += kPixels) {
    const size_t map = static_cast<size_t>(run.image) * product.out + first + row;
    const size_t at = map * product.to.plane + product.to.at(run.y, run.x);
    const Floats bias = spread(outputs.bias ? outputs.bias[first + row] : 0.0f);
    for (int i = 0; i < run.count; i += kLanes) {
      Floats value = load_lanes(sums + i) + bias;
      if (outputs.residual) value += load_up_to(outputs.residual + at + i, run.count - i);
      store_pixels(outputs.out + at + static_cast<size_t>(i) * product.to.stride,
                   product.bound.apply(value), product.to.stride, run.count - i,
                   outputs.past_cache);
    }
  }
}

// The outputs of a panel of a block.
void multiply_panel(const Plan& plan, const float* weights, int panel, int pixels, const Own& own,
                    const Outputs& outputs) {
  const PixelProduct& product = plan.product;
  const Factor* rows[kRows];  // the last one is used again for those that are missing
  for (int i = 0; i < kRows; ++i) {
    const size_t output = static_cast<size_t>(least(panel * kRows + i, product.out - 1));
    rows[i] = row_factors(weights + output * static_cast<size_t>(product.in), product.in,
                          own.rows + i * own.row);
  }
  const Run* run = own.runs;
  const Factor* points = own.points;
  for (int start = 0; start < pixels; start += kPixels, points += plan.column) {
    const int vectors = (pixels - start + kLanes - 1) / kLanes;
    const auto kernel = vectors == 1   ? multiply_rows<1>
                        : vectors == 2 ? multiply_rows<2>
                                       : multiply_rows<3>;
    kernel(rows, points, plan.depth, kPixels, own.sums);
    const int end = pixels - start < kPixels ? pixels : start + kPixels;
    for (int done = start; done < end; done += run->count, ++run) {
      store_run(product, outputs, panel, *run, own.sums + run->start % kPixels);
    }
  }
}

}  // namespace

size_t product_bytes(const PixelProduct& product) {
  if (is_dense(product)) return dense_bytes(product);
  const Plan plan(product);
  Arena own(nullptr);
  Own{&own, plan};
  return own.used() * static_cast<size_t>(plan.threads);
}

void multiply_pixels(const PixelProduct& product, const float* data, const float* weights,
                     const float* bias, const float* residual, char* memory, float* out) {
  if (is_dense(product)) {
    return multiply_dense(product, data, weights, bias, residual, memory, out);
  }
  const Plan plan(product);
  Arena measure(nullptr);
  Own{&measure, plan};
  const size_t maps = static_cast<size_t>(product.grid.images) * product.out;
  const Outputs outputs = {bias, residual, out, maps * product.to.plane > kBeyondCache};
  const int parts = plan.parts();
  const int most = plan.columns * kPixels;
  const double multiply_adds = 1.0 * most * product.in * product.out / parts;
  const int threads = threads_for(plan.blocks * parts, multiply_adds / 50);
#pragma omp parallel for num_threads(threads) schedule(dynamic)
  for (int64_t task = 0; task < plan.blocks * parts; ++task) {
    Arena mine(memory + measure.used() * static_cast<size_t>(this_thread()));
    const Own own(&mine, plan);
    const int64_t first = task / parts * most;
    const int part = static_cast<int>(task % parts);
    const int64_t left = product.grid.count - first;
    const int pixels = static_cast<int>(left < most ? left : most);
    pack(plan, data, product.grid.runs(first, pixels, kPixels, own.runs), own);
    const int64_t panels = plan.panels;
    for (int64_t panel = panels * part / parts; panel < panels * (part + 1) / parts; ++panel) {
      multiply_panel(plan, weights, static_cast<int>(panel), pixels, own, outputs);
    }
    if (outputs.past_cache) finish_past_cache();
  }
}

int conv1x1(const DetkitConv1x1* conv, const float* data, const float* weights, const float* bias,
            const float* residual, void* workspace, float* out) {
  if (!is_valid(*conv)) return DETKIT_BAD_ARGUMENT;
  multiply_pixels(forward_product(*conv), data, weights, bias, residual,
                  static_cast<char*>(workspace), out);
  return DETKIT_OK;
}

}  // namespace DETKIT_ISA
}  // namespace detkit

DETKIT_PRODUCTS(conv1x1,
                (const DetkitConv1x1* conv, const float* data, const float* weights,
                 const float* bias, const float* residual, void* workspace, float* out),
                (conv, data, weights, bias, residual, workspace, out), conv->bfloat16)
