// The gradients of a 1x1 convolution. That of the data is a product with the transposed weights.
// That of the weights is a product of inputs and gradients, summed over all pixels.
#include <algorithm>

#include "../checks.h"
#include "conv1x1.h"
#include "products.h"
#include "threads.h"

namespace detkit {
namespace DETKIT_ISA {
namespace {

constexpr int kChunkFloats = 1 << 18;  // of inputs and gradients are added to the sums at a time
constexpr int kLeastPixels = 128, kMostPixels = 1024;

int blocks_of(int channels) { return (channels + kBlock - 1) / kBlock; }

// The arrays of the gradient of the weights.
struct Plan {
  explicit Plan(const PixelProduct& product)
      : product(product),
        in_blocks(blocks_of(product.in)),
        out_blocks(blocks_of(product.out)),
        threads(available_threads()),
        pixels(pixels_of(product.grid, blocks())),
        block(static_cast<size_t>(pixels) * kBlock + kBlock),
        in(static_cast<size_t>(in_blocks) * kBlock) {}

  int blocks() const { return in_blocks + out_blocks; }
  int pairs() const { return (in_blocks + kSumBlocks - 1) / kSumBlocks; }
  size_t line() const { return static_cast<size_t>(pixels) + kLanes; }

  const PixelProduct& product;
  const int in_blocks, out_blocks;
  const int threads;
  const int pixels;    // of a chunk
  const size_t block;  // floats of a block of channels
  const size_t in;     // floats of a row of sums

 private:
  static int pixels_of(const PixelGrid& grid, int blocks) {
    const int pixels = std::max(kChunkFloats / (kBlock * blocks), kLeastPixels);
    return static_cast<int>(std::min<int64_t>(std::min(pixels, kMostPixels), grid.count));
  }
};

struct Memory {
  Memory(Arena* arena, const Plan& plan)
      : points(arena->take<float>(plan.blocks() * plan.block)),
        sums(arena->take<float>(plan.in * plan.out_blocks * kBlock)),
        lines(arena->take<float>(plan.line() * kBlock * static_cast<size_t>(plan.threads))),
        runs(arena->take<Run>(static_cast<size_t>(plan.pixels))) {}

  float* const points;  // [block of inputs, then of outputs][pixel][16]
  float* const sums;    // [output][input]
  float* const lines;   // [thread][16][pixel]
  Run* const runs;
};

// Maps of which 16 channels are read.
struct Channels {
  const float* maps;
  int channels, first;
  const Layout& layout;

  int count() const { return std::min(channels - first, kBlock); }
  const float* plane(int image) const {
    return maps + (static_cast<size_t>(image) * channels + first) * layout.plane;
  }
};

// The pixels of runs to blocks. lines: room for 16 rows, `line` floats from one to the next.
void to_blocks(const Channels& channels, const Run* runs, int count, float* lines, size_t line,
               float* blocks) {
  const Layout& layout = channels.layout;
  for (const Run* run = runs; run < runs + count; ++run) {
    const float* pixels = channels.plane(run->image) + layout.at(run->y, run->x);
    float* to = blocks + static_cast<size_t>(run->start) * kBlock;
    if (layout.stride == 1) {
      planes_to_blocks(pixels, layout.plane, channels.count(), run->count, to);
      continue;
    }
    for (int c = 0; c < channels.count(); ++c) {
      const float* from = pixels + c * layout.plane;
      for (int i = 0; i < run->count; i += kLanes, from += kLanes * layout.stride) {
        store_lanes(lines + c * line + i, load_pixels(from, layout.stride, run->count - i));
      }
    }
    planes_to_blocks(lines, line, channels.count(), run->count, to);
  }
}

void chunk_to_blocks(const Plan& plan, const float* data, const float* gradient, int block,
                     int runs, const Memory& memory) {
  const PixelProduct& product = plan.product;
  const bool is_input = block < plan.in_blocks;
  const Channels channels = {is_input ? data : gradient, is_input ? product.in : product.out,
                             (is_input ? block : block - plan.in_blocks) * kBlock,
                             is_input ? product.from : product.to};
  float* lines = memory.lines + plan.line() * kBlock * static_cast<size_t>(this_thread());
  to_blocks(channels, memory.runs, runs, lines, plan.line(), memory.points + block * plan.block);
}

// Adds a chunk to the sums of a block of outputs and a few blocks of inputs.
void add_products(const Plan& plan, int out_block, int pair, int pixels, bool is_first,
                  const Memory& memory) {
  const int block = pair * kSumBlocks;
  const auto kernel = block + kSumBlocks <= plan.in_blocks ? accumulate<kSumBlocks> : accumulate<1>;
  const float* gradients = memory.points + (plan.in_blocks + out_block) * plan.block;
  float* sums = memory.sums + out_block * kBlock * plan.in + block * kBlock;
  for (int row = 0; row < kBlock; row += kSumRows) {
    kernel(gradients + row, memory.points + block * plan.block, plan.block, pixels, is_first,
           sums + row * plan.in, plan.in);
  }
}

void weights_gradient(const PixelProduct& product, const float* data, const float* gradient,
                      char* memory_of, float* out) {
  const Plan plan(product);
  Arena arena(memory_of);
  const Memory memory(&arena, plan);
  const double all = static_cast<double>(product.grid.count) * product.in * product.out;
  const int threads = threads_for(plan.blocks(), all / 50 / plan.blocks());
  for (int64_t first = 0; first < product.grid.count; first += plan.pixels) {
    const int pixels = static_cast<int>(std::min<int64_t>(product.grid.count - first, plan.pixels));
    const int runs = product.grid.runs(first, pixels, pixels, memory.runs);
#pragma omp parallel num_threads(threads)
    {
#pragma omp for schedule(dynamic)
      for (int block = 0; block < plan.blocks(); ++block) {
        chunk_to_blocks(plan, data, gradient, block, runs, memory);
      }
#pragma omp for schedule(dynamic)
      for (int task = 0; task < plan.out_blocks * plan.pairs(); ++task) {
        add_products(plan, task / plan.pairs(), task % plan.pairs(), pixels, first == 0, memory);
      }
    }
  }
  const size_t bytes = sizeof(float) * static_cast<size_t>(product.in);
  if (product.grid.count == 0) memset(out, 0, bytes * static_cast<size_t>(product.out));
  for (int o = 0; o < product.out && product.grid.count > 0; ++o) {
    memcpy(out + static_cast<size_t>(o) * product.in, memory.sums + o * plan.in, bytes);
  }
}

// weights (out, in) to (in, out)
void transpose_weights(const float* weights, int out, int in, float* to) {
  const int blocks = blocks_of(out);
  const double time = 0.5 * kBlock * in;
#pragma omp parallel for num_threads(threads_for(blocks, time)) schedule(static)
  for (int block = 0; block < blocks; ++block) {
    alignas(64) float pixels[kBlock * kBlock];
    const int first = block * kBlock, outputs = std::min(out - first, kBlock);
    for (int input = 0; input < in; input += kBlock) {
      const int inputs = std::min(in - input, kBlock);
      planes_to_blocks(weights + static_cast<size_t>(first) * in + input, static_cast<size_t>(in),
                       outputs, inputs, pixels);
      for (int i = 0; i < inputs; ++i) {
        memcpy(to + static_cast<size_t>(input + i) * out + first, pixels + i * kBlock,
               sizeof(float) * static_cast<size_t>(outputs));
      }
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
  transpose_weights(weights, forward.out, forward.in, transposed);
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
  Memory{&weights, Plan(product)};
  *forward = static_cast<int64_t>(product_bytes(product));
  *backward =
      static_cast<int64_t>(masked_bytes(product) + std::max(data_bytes(product), weights.used()));
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

DETKIT_KERNEL(conv1x1_workspace, (const DetkitConv1x1* conv, int64_t* forward, int64_t* backward),
              (conv, forward, backward))
DETKIT_KERNEL(conv1x1_backward,
              (const DetkitConv1x1* conv, const float* data, const float* weights, const float* out,
               const float* grad_out, void* workspace, float* grad_data, float* grad_weights,
               float* grad_bias, float* grad_residual),
              (conv, data, weights, out, grad_out, workspace, grad_data, grad_weights, grad_bias,
               grad_residual))
