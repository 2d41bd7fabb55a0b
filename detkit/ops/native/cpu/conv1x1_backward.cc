// The gradients of a 1x1 convolution. That of the data is a product with the transposed weights.
// That of the weights is a product of inputs and gradients, summed over all pixels.
#include "../checks.h"
#include "conv1x1.h"
#include "products.h"
#include "threads.h"

namespace detkit {
namespace DETKIT_ISA {
namespace {

constexpr int kChunkFloats = 1 << 18;  // of blocks are added to the sums at a time
constexpr int kLeastPixels = 128, kMostPixels = 1024;
constexpr int kTaskRows = 16;  // are added to the sums by a task

int blocks_of(int channels) { return (channels + kBlock - 1) / kBlock; }

// Maps (images, channels) with their layout.
struct Maps {
  const float* values;
  int channels;
  const Layout& layout;

  const float* pixels(const Run& run, int channel) const {
    const size_t map = static_cast<size_t>(run.image) * channels + channel;
    return values + map * layout.plane + layout.at(run.y, run.x);
  }
};

// The gradient of the weights: the sums over all pixels of rows x blocks. The maps with fewer
// channels, or those with a stride, are copied into blocks of channels.
struct Plan {
  Plan(const PixelProduct& product, const float* data, const float* gradient)
      : grid(product.grid),
        is_turned(product.from.stride == 1 && product.out < product.in),
        data{data, product.in, product.from},
        gradient{gradient, product.out, product.to},
        rows(is_turned ? this->data : this->gradient),
        blocked(is_turned ? this->gradient : this->data),
        blocks(blocks_of(blocked.channels)),
        tasks_of_rows((rows.channels + kTaskRows - 1) / kTaskRows),
        threads(available_threads()),
        pixels(pixels_of(grid, blocks)),
        block(static_cast<size_t>(pixels) * kBlock + kBlock),
        row(static_cast<size_t>(blocks) * kBlock) {}

  int pairs() const { return (blocks + kSumBlocks - 1) / kSumBlocks; }
  size_t line() const { return static_cast<size_t>(pixels) + kLanes; }

  const PixelGrid& grid;
  const bool is_turned;  // whether the rows are inputs
  const Maps data, gradient;
  const Maps &rows, &blocked;
  const int blocks, tasks_of_rows;
  const int threads;
  const int pixels;    // of a chunk
  const size_t block;  // floats of a block of channels
  const size_t row;    // floats of a row of sums

 private:
  static int pixels_of(const PixelGrid& grid, int blocks) {
    const int pixels = greatest(kChunkFloats / (kBlock * blocks), kLeastPixels);
    return static_cast<int>(least<int64_t>(least(pixels, kMostPixels), grid.count));
  }
};

struct Memory {
  Memory(Arena* arena, const Plan& plan)
      : points(arena->take<float>(plan.blocks * plan.block)),
        sums(arena->take<float>(plan.row * plan.tasks_of_rows * kTaskRows)),
        lines(arena->take<float>(plan.line() * kBlock * static_cast<size_t>(plan.threads))),
        runs(arena->take<Run>(static_cast<size_t>(plan.pixels))) {}

  float* const points;  // [block of channels][pixel][16]
  float* const sums;    // [row][channel of the blocks]
  float* const lines;   // [thread][16][pixel]
  Run* const runs;
};

// The pixels of runs to a block of channels.
void chunk_to_block(const Plan& plan, int block, int runs, const Memory& memory) {
  const Layout& layout = plan.blocked.layout;
  const int first = block * kBlock, channels = least(plan.blocked.channels - first, kBlock);
  float* lines = memory.lines + plan.line() * kBlock * static_cast<size_t>(this_thread());
  for (const Run* run = memory.runs; run < memory.runs + runs; ++run) {
    const float* pixels = plan.blocked.pixels(*run, first);
    float* to = memory.points + block * plan.block + static_cast<size_t>(run->start) * kBlock;
    if (layout.stride == 1) {
      planes_to_blocks(pixels, layout.plane, channels, run->count, to);
      continue;
    }
    for (int c = 0; c < channels; ++c) {
      const float* from = pixels + c * layout.plane;
      for (int i = 0; i < run->count; i += kLanes, from += kLanes * layout.stride) {
        store_lanes(lines + c * plan.line() + i, load_pixels(from, layout.stride, run->count - i));
      }
    }
    planes_to_blocks(lines, plan.line(), channels, run->count, to);
  }
}

// Adds a chunk to the sums of kTaskRows rows and a few blocks.
void add_products(const Plan& plan, int task, int pair, int runs, bool is_first,
                  const Memory& memory) {
  const int block = pair * kSumBlocks, last = plan.rows.channels - 1;
  const auto kernel =
      block + kSumBlocks <= plan.blocks ? accumulate_rows<kSumBlocks> : accumulate_rows<1>;
  for (int start = task * kTaskRows; start < (task + 1) * kTaskRows; start += kSumRows) {
    float* sums = memory.sums + start * plan.row + block * kBlock;
    for (const Run* run = memory.runs; run < memory.runs + runs; ++run) {
      const float* rows[kSumRows];  // the last one is used again for those that are missing
      for (int i = 0; i < kSumRows; ++i) {
        rows[i] = plan.rows.pixels(*run, least(start + i, last));
      }
      kernel(rows, memory.points + block * plan.block + static_cast<size_t>(run->start) * kBlock,
             plan.block, run->count, is_first && run == memory.runs, sums, plan.row);
    }
  }
}

// values (rows, columns), `row` floats from a row to the next, to (columns, rows)
void transpose_matrix(const float* values, int rows, int columns, size_t row, float* to) {
  const int blocks = blocks_of(rows);
  const double time = 0.5 * kBlock * columns;
#pragma omp parallel for num_threads(threads_for(blocks, time)) schedule(static)
  for (int block = 0; block < blocks; ++block) {
    alignas(64) float square[kBlock * kBlock];
    const int first = block * kBlock, count = least(rows - first, kBlock);
    for (int column = 0; column < columns; column += kBlock) {
      const int width = least(columns - column, kBlock);
      planes_to_blocks(values + first * row + column, row, count, width, square);
      for (int i = 0; i < width; ++i) {
        memcpy(to + static_cast<size_t>(column + i) * rows + first, square + i * kBlock,
               sizeof(float) * static_cast<size_t>(count));
      }
    }
  }
}

void weights_gradient(const PixelProduct& product, const float* data, const float* gradient,
                      char* memory_of, float* out) {
  const Plan plan(product, data, gradient);
  Arena arena(memory_of);
  const Memory memory(&arena, plan);
  const int tasks = plan.tasks_of_rows * plan.pairs();
  const double all = static_cast<double>(product.grid.count) * product.in * product.out;
  const int threads = threads_for(greatest(tasks, 2), all / 50 / greatest(tasks, 2));
  for (int64_t first = 0; first < product.grid.count; first += plan.pixels) {
    const int pixels = static_cast<int>(least<int64_t>(product.grid.count - first, plan.pixels));
    const int runs = product.grid.runs(first, pixels, pixels, memory.runs);
#pragma omp parallel num_threads(threads)
    {
#pragma omp for schedule(dynamic)
      for (int block = 0; block < plan.blocks; ++block) chunk_to_block(plan, block, runs, memory);
#pragma omp for schedule(dynamic)
      for (int task = 0; task < tasks; ++task) {
        add_products(plan, task / plan.pairs(), task % plan.pairs(), runs, first == 0, memory);
      }
    }
  }
  const size_t bytes = sizeof(float) * static_cast<size_t>(product.in);
  if (product.grid.count == 0) {
    memset(out, 0, bytes * static_cast<size_t>(product.out));
  } else if (plan.is_turned) {
    transpose_matrix(memory.sums, product.in, product.out, plan.row, out);
  } else {
    for (int o = 0; o < product.out; ++o) {
      memcpy(out + static_cast<size_t>(o) * product.in, memory.sums + o * plan.row, bytes);
    }
  }
}

// The product whose output is the gradient of the data.
PixelProduct data_product(const PixelProduct& forward) {
  return {forward.grid, forward.to, forward.from, forward.out, forward.in, {false, 0.0f}};
}

void data_gradient(const PixelProduct& forward, const float* gradient, const float* weights,
                   char* memory, float* out) {
  const PixelProduct product = data_product(forward);
  Arena arena(memory);
  float* transposed = arena.take<float>(static_cast<size_t>(forward.in) * forward.out);
  transpose_matrix(weights, forward.out, forward.in, static_cast<size_t>(forward.in), transposed);
  if (product.to.stride > 1) {  // the pixels that the stride skips
    const size_t maps = static_cast<size_t>(forward.grid.images) * forward.in;
    memset(out, 0, sizeof(float) * maps * product.to.plane);
  }
  multiply_pixels(product, gradient, transposed, nullptr, nullptr, memory + arena.used(), out);
}

size_t data_bytes(const PixelProduct& forward) {
  Arena arena(nullptr);
  arena.take<float>(static_cast<size_t>(forward.in) * forward.out);
  return arena.used() + product_bytes(data_product(forward));
}

size_t masked_bytes(const PixelProduct& forward) {
  Arena arena(nullptr);
  if (forward.bound.relu) {
    arena.take<float>(static_cast<size_t>(forward.grid.count) * forward.out);
  }
  return arena.used();
}

}  // namespace

int conv1x1_workspace(const DetkitConv1x1* conv, int64_t* forward, int64_t* backward) {
  if (!is_valid(*conv)) return DETKIT_BAD_ARGUMENT;
  const PixelProduct product = forward_product(*conv);
  Arena weights(nullptr);
  Memory{&weights, Plan(product, nullptr, nullptr)};
  *forward = static_cast<int64_t>(product_bytes(product));
  *backward =
      static_cast<int64_t>(masked_bytes(product) + greatest(data_bytes(product), weights.used()));
  return DETKIT_OK;
}

int conv1x1_backward(const DetkitConv1x1* conv, const float* data, const float* weights,
                     const float* out, const float* grad_out, void* workspace, float* grad_data,
                     float* grad_weights, float* grad_bias, float* grad_residual) {
  if (!is_valid(*conv)) return DETKIT_BAD_ARGUMENT;
  const PixelProduct product = forward_product(*conv);
  char* memory = static_cast<char*>(workspace) + masked_bytes(product);
  float* masked = grad_residual ? grad_residual
                  : conv->relu  ? static_cast<float*>(workspace)
                                : nullptr;
  before_relu(product.bound, conv->images, conv->out_channels, product.to.plane, out, grad_out,
              masked, grad_bias);
  const float* gradient = conv->relu ? masked : grad_out;
  if (grad_data) data_gradient(product, gradient, weights, memory, grad_data);
  weights_gradient(product, data, gradient, memory, grad_weights);
  return DETKIT_OK;
}

}  // namespace DETKIT_ISA
}  // namespace detkit

DETKIT_PRODUCTS(conv1x1_workspace, (const DetkitConv1x1* conv, int64_t* forward, int64_t* backward),
                (conv, forward, backward), conv->bfloat16)
DETKIT_PRODUCTS(conv1x1_backward,
                (const DetkitConv1x1* conv, const float* data, const float* weights,
                 const float* out, const float* grad_out, void* workspace, float* grad_data,
                 float* grad_weights, float* grad_bias, float* grad_residual),
                (conv, data, weights, out, grad_out, workspace, grad_data, grad_weights, grad_bias,
                 grad_residual),
                conv->bfloat16)
