// A 1x1 convolution of maps of one pixel: a product of matrices, as a dense layer's. The channels
// are taken in steps, whose data stay in the cache while all weights pass by once.
#include "channel_blocks.h"
#include "conv1x1.h"
#include "products.h"
#include "threads.h"

namespace detkit {
namespace DETKIT_ISA {
namespace {

constexpr int kStep = 512;                    // channels
constexpr int kImages = kColumns * kLanes;    // of a column, whose sums stay in registers
constexpr int kMostImages = 7 * kImages;      // of a chunk
constexpr size_t kLine = 64 / sizeof(float);  // floats of a cache line

// The sizes of a product.
struct Plan {
  explicit Plan(const PixelProduct& product)
      : product(product),
        images(static_cast<int>(least<int64_t>(product.grid.count, kMostImages))),
        columns((images + kImages - 1) / kImages),
        panels((product.out + kRows - 1) / kRows),
        threads(available_threads()),
        column(static_cast<size_t>(depth_of(least(product.in, kStep))) * kImages + kLanes) {}

  const PixelProduct& product;
  const int images;  // of a chunk
  const int columns, panels, threads;
  const size_t column;  // factors

  size_t panel() const { return static_cast<size_t>(kRows) * columns * kImages; }  // sums
};

// What all threads read and write.
struct Memory {
  Memory(Arena* arena, const Plan& plan)
      : points(arena->take<Factor>(plan.columns * plan.column)),
        sums(arena->take<float>(plan.panels * plan.panel())) {}

  Factor* const points;  // [column][channel of the step][image]
  float* const sums;     // [panel][column][output][image]
};

// What one thread works in.
struct Own {
  explicit Own(Arena* arena)
      : row(row_memory(kStep)),
        rows(arena->take<Factor>(kBlock * row)),
        blocks(arena->take<float>(kStep * kBlock)),
        sums(arena->take<float>(kRows * kImages)) {}

  const size_t row;
  Factor* const rows;  // of data or weights, if they are converted
  float* const blocks;
  float* const sums;
};

// Channels of a step, and images of a chunk.
struct Step {
  int first, channels;
  int64_t first_image;
  int images;
};

// 16 images of a step to the points. Factors are moved as if they were floats.
void pack(const Plan& plan, const Step& step, const float* data, int group, const Own& own,
          Factor* points) {
  const int depth = depth_of(step.channels), count = least(step.images - group * kBlock, kBlock);
  const size_t in = static_cast<size_t>(plan.product.in);
  const float* from =
      data + (static_cast<size_t>(step.first_image) + group * kBlock) * in + step.first;
  size_t stride = in;
  if (kDeep > 1) {
    for (int i = 0; i < count; ++i) {
      row_factors(from + static_cast<size_t>(i) * in, step.channels, own.rows + i * own.row);
    }
    from = reinterpret_cast<const float*>(own.rows), stride = own.row;
  }
  planes_to_blocks(from, stride, count, depth, own.blocks);
  for (int part = 0; part < kParts; ++part) {
    const int image = group * kBlock + part * kLanes;
    if (image >= plan.columns * kImages) break;
    Factor* to = points + image / kImages * plan.column + image % kImages;
    for (int k = 0; k < depth; ++k) {
      memcpy(to + static_cast<size_t>(k) * kImages, own.blocks + k * kBlock + part * kLanes,
             sizeof(Floats));
    }
  }
}

// Adds the products of a step to the sums of a panel.
void add_step(const Plan& plan, const Step& step, const float* weights, int panel, const Own& own,
              const Memory& memory) {
  const size_t in = static_cast<size_t>(plan.product.in);
  const Factor* rows[kRows];  // the last one is used again for those that are missing
  const float* next[kRows];   // of the next panel
  for (int i = 0; i < kRows; ++i) {
    const int last = plan.product.out - 1;
    const float* row = weights + least(panel * kRows + i, last) * in + step.first;
    rows[i] = row_factors(row, step.channels, own.rows + i * own.row);
    next[i] = weights + least((panel + 1) * kRows + i, last) * in + step.first;
  }
  float* sums = memory.sums + panel * plan.panel();
  const size_t share = (static_cast<size_t>(step.channels) / plan.columns / kLine + 1) * kLine;
  for (int column = 0; column < plan.columns; ++column, sums += kRows * kImages) {
    for (const float* row : next) {
      for (size_t i = column * share; i < (column + 1) * share; i += kLine) {
        __builtin_prefetch(row + i);
      }
    }
    const int images = step.images - column * kImages;
    const auto kernel = images <= kLanes       ? multiply_rows<1>
                        : images <= 2 * kLanes ? multiply_rows<2>
                                               : multiply_rows<3>;
    const Factor* points = memory.points + column * plan.column;
    kernel(rows, points, depth_of(step.channels), kImages, step.first ? own.sums : sums);
    for (int i = 0; step.first && i < kRows * kImages; i += kLanes) {
      store_lanes(sums + i, load_lanes(sums + i) + load_lanes(own.sums + i));
    }
  }
}

// The sums of a panel to outputs.
void store_panel(const Plan& plan, const Step& step, int panel, const Memory& memory,
                 const float* bias, const float* residual, float* out) {
  const PixelProduct& product = plan.product;
  const float* sums = memory.sums + panel * plan.panel();
  for (int row = 0; row < kRows && panel * kRows + row < product.out; ++row) {
    const int output = panel * kRows + row;
    for (int i = 0; i < step.images; i += kLanes) {
      const float* from = sums + (i / kImages * kRows + row) * kImages + i % kImages;
      Floats value = load_lanes(from) + spread(bias ? bias[output] : 0.0f);
      const size_t at =
          static_cast<size_t>(step.first_image + i) * static_cast<size_t>(product.out) + output;
      const int count = least(step.images - i, kLanes);
      for (int lane = 0; residual && lane < count; ++lane) {
        value[lane] += residual[at + static_cast<size_t>(lane) * product.out];
      }
      value = product.bound.apply(value);
      for (int lane = 0; lane < count; ++lane) {
        out[at + static_cast<size_t>(lane) * product.out] = value[lane];
      }
    }
  }
}

size_t own_bytes() {
  Arena own(nullptr);
  Own{&own};
  return own.used();
}

}  // namespace

size_t dense_bytes(const PixelProduct& product) {
  const Plan plan(product);
  Arena arena(nullptr);
  Memory{&arena, plan};
  return arena.used() + own_bytes() * static_cast<size_t>(plan.threads);
}

void multiply_dense(const PixelProduct& product, const float* data, const float* weights,
                    const float* bias, const float* residual, char* memory_of, float* out) {
  const Plan plan(product);
  Arena arena(memory_of);
  const Memory memory(&arena, plan);
  char* const own_memory = memory_of + arena.used();
  const double multiply_adds = 1.0 * plan.images * kRows * product.in;
  const int threads = threads_for(plan.panels, multiply_adds / 50);
#pragma omp parallel num_threads(threads)
  {
    Arena mine(own_memory + own_bytes() * static_cast<size_t>(this_thread()));
    const Own own(&mine);
    for (int64_t image = 0; image < product.grid.count; image += plan.images) {
      for (int first = 0; first < product.in; first += kStep) {
        const Step step = {
            first, least(product.in - first, kStep), image,
            static_cast<int>(least<int64_t>(product.grid.count - image, plan.images))};
#pragma omp for schedule(static)
        for (int group = 0; group < (step.images + kBlock - 1) / kBlock; ++group) {
          pack(plan, step, data, group, own, memory.points);
        }
#pragma omp for schedule(static)
        for (int panel = 0; panel < plan.panels; ++panel) {
          add_step(plan, step, weights, panel, own, memory);
          if (first + kStep >= product.in) {
            store_panel(plan, step, panel, memory, bias, residual, out);
          }
        }
      }
    }
  }
}

}  // namespace DETKIT_ISA
}  // namespace detkit
