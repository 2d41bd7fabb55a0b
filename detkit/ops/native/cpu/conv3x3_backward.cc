// The gradients of a 3x3 convolution. That of the data is a convolution with turned weights. That
// of the weights is a product of inputs and gradients for each point, summed over all tiles.
#include "../checks.h"
#include "conv3x3.h"
#include "products.h"
#include "threads.h"
#include "tile_blocks.h"

namespace detkit {
namespace DETKIT_ISA {
namespace {

constexpr int kChunkFloats = 5 << 19;  // 10 MB of points are added to the sums at a time
constexpr int kLeastTiles = 128, kMostTiles = 512;

// The arrays of the gradient of the weights.
struct Plan {
  explicit Plan(const DetkitConv3x3& conv)
      : grid(conv.images, conv.height, conv.width),
        in_blocks(round_up(conv.in_channels, kBlock) / kBlock),
        out_blocks(round_up(conv.out_channels, kBlock) / kBlock),
        threads(available_threads()),
        tiles(tiles_of(grid, blocks())),
        block(static_cast<size_t>(tiles) * kBlock + kPad),
        points_stride(blocks() * block + kPad),
        in(static_cast<size_t>(in_blocks) * kBlock),
        sums_stride(in * out_blocks * kBlock + kPad) {}

  int blocks() const { return in_blocks + out_blocks; }
  size_t row() const { return (static_cast<size_t>(grid.columns) * kTile + 2) * kBlock; }

  const TileGrid grid;
  const int in_blocks, out_blocks;
  const int threads;
  const int tiles;             // of a chunk
  const size_t block;          // floats of a block of channels
  const size_t points_stride;  // from a product to the next
  const size_t in, sums_stride;

 private:
  static int tiles_of(const TileGrid& grid, int blocks) {
    const int tiles = greatest(kChunkFloats / (kProducts * kBlock * blocks), kLeastTiles);
    return static_cast<int>(least<int64_t>(least(tiles, kMostTiles), grid.count));
  }
};

struct Memory {
  Memory(Arena* arena, const Plan& plan)
      : points(arena->take<float>(kProducts * plan.points_stride)),
        sums(arena->take<float>(kProducts * plan.sums_stride)),
        pixels(arena->take<float>(plan.row() * kPoints * static_cast<size_t>(plan.threads))),
        segments(arena->take<Segment>(static_cast<size_t>(plan.tiles))) {}

  float* const points;  // [product][block of inputs, then of outputs][tile][16]
  float* const sums;    // [product][output][input]
  float* const pixels;
  Segment* const segments;
};

// A chunk's inputs, or gradients of outputs, to points.
void chunk_to_points(const Plan& plan, const DetkitConv3x3& conv, const float* data,
                     const float* gradient, int block, int segments, const Memory& memory) {
  float* pixels = memory.pixels + plan.row() * kPoints * static_cast<size_t>(this_thread());
  float* points = memory.points + block * plan.block;
  if (block < plan.in_blocks) {
    const auto rule = [](const Floats(&d)[kPoints], Floats(&v)[kPoints]) {
      inputs_to_points(d, v);
    };
    const ChannelBlock channels(data, conv.in_channels, block * kBlock);
    block_to_points<kPoints>(plan.grid, memory.segments, segments, channels, rule, pixels, points,
                             plan.points_stride);
  } else {
    const auto rule = [](const Floats(&e)[kTile], Floats(&v)[kPoints]) {
      gradients_to_points(e, v);
    };
    const ChannelBlock channels(gradient, conv.out_channels, (block - plan.in_blocks) * kBlock);
    block_to_points<kTile>(plan.grid, memory.segments, segments, channels, rule, pixels, points,
                           plan.points_stride);
  }
}

// Adds a chunk to the sums of a product and a block of outputs.
void add_products(const Plan& plan, int product, int out_block, int tiles, bool is_first,
                  const Memory& memory) {
  const float* points = memory.points + product * plan.points_stride;
  const float* gradients = points + (plan.in_blocks + out_block) * plan.block;
  float* sums = memory.sums + product * plan.sums_stride + out_block * kBlock * plan.in;
  for (int block = 0; block < plan.in_blocks; block += kSumBlocks) {
    const bool is_whole = block + kSumBlocks <= plan.in_blocks;
    const auto kernel = is_whole ? accumulate<kSumBlocks> : accumulate<1>;
    for (int row = 0; row < kBlock; row += kSumRows) {
      kernel(gradients + row, points + block * plan.block, plan.block, tiles, is_first,
             sums + row * plan.in + block * kBlock, plan.in);
    }
  }
}

// The sums at the points to the gradients of the weights of an output.
void sums_to_weights(const Plan& plan, const float* sums, int inputs, float* out) {
  for (int input = 0; input < inputs; input += kLanes) {
    Doubles half[kTaps][kPoints];
    for (int j = 0; j < kPoints; ++j) {
      Doubles s[kPoints], w[kTaps];
      for (int i = 0; i < kPoints; ++i) {
        const float* from = sums + (i * kPoints + j) * plan.sums_stride + input;
        s[i] = __builtin_convertvector(load_lanes(from), Doubles);
      }
      points_to_weights(s, w);
      for (int i = 0; i < kTaps; ++i) half[i][j] = w[i];
    }
    for (int i = 0; i < kTaps; ++i) {
      Doubles w[kTaps];
      points_to_weights(half[i], w);
      for (int j = 0; j < kTaps; ++j) {
        for (int lane = 0; lane < kLanes && input + lane < inputs; ++lane) {
          out[(input + lane) * 9 + i * kTaps + j] = static_cast<float>(w[j][lane]);
        }
      }
    }
  }
}

void weights_gradient(const DetkitConv3x3& conv, const float* data, const float* gradient,
                      char* memory_of, float* out) {
  const Plan plan(conv);
  const size_t per_output = static_cast<size_t>(conv.in_channels) * 9;
  if (plan.grid.count == 0) {
    memset(out, 0, sizeof(float) * per_output * static_cast<size_t>(conv.out_channels));
    return;
  }
  Arena arena(memory_of);
  const Memory memory(&arena, plan);
  for (int64_t first = 0; first < plan.grid.count; first += plan.tiles) {
    const int tiles = plan.grid.tiles(first, plan.tiles);
    const int segments = plan.grid.segments(first, tiles, memory.segments);
#pragma omp parallel num_threads(plan.threads)
    {
#pragma omp for schedule(dynamic)
      for (int block = 0; block < plan.blocks(); ++block) {
        chunk_to_points(plan, conv, data, gradient, block, segments, memory);
      }
#pragma omp for schedule(dynamic)
      for (int task = 0; task < kProducts * plan.out_blocks; ++task) {
        add_products(plan, task / plan.out_blocks, task % plan.out_blocks, tiles, first == 0,
                     memory);
      }
    }
  }
#pragma omp parallel for num_threads(plan.threads) schedule(static)
  for (int o = 0; o < conv.out_channels; ++o) {
    sums_to_weights(plan, memory.sums + o * plan.in, conv.in_channels, out + o * per_output);
  }
}

size_t out_bytes(const DetkitConv3x3& conv) {
  Arena arena(nullptr);
  if (conv.relu) {
    arena.take<float>(static_cast<size_t>(conv.images) * conv.out_channels * conv.height *
                      conv.width);
  }
  return arena.used();
}

}  // namespace

int conv3x3_workspace(const DetkitConv3x3* conv, int64_t* forward, int64_t* backward) {
  if (!is_valid(*conv)) return DETKIT_BAD_ARGUMENT;
  Arena weights(nullptr);
  Memory{&weights, Plan(*conv)};
  const size_t data = convolution_bytes(turned(*conv));
  *forward = static_cast<int64_t>(convolution_bytes(*conv));
  *backward = static_cast<int64_t>(out_bytes(*conv) + greatest(data, weights.used()));
  return DETKIT_OK;
}

int conv3x3_backward(const DetkitConv3x3* conv, const float* data, const float* weights,
                     const float* out, const float* grad_out, void* workspace, float* grad_data,
                     float* grad_weights, float* grad_bias) {
  if (!is_valid(*conv) || conv->pools) return DETKIT_BAD_ARGUMENT;
  float* masked = conv->relu ? static_cast<float*>(workspace) : nullptr;
  char* memory = static_cast<char*>(workspace) + out_bytes(*conv);
  before_relu(bound_of(*conv), conv->images, conv->out_channels,
              static_cast<size_t>(conv->height) * conv->width, out, grad_out, masked, grad_bias);
  const float* gradient = conv->relu ? masked : grad_out;
  if (grad_data) {
    convolve(turned(*conv), true, gradient, weights, nullptr, memory, grad_data);
  }
  weights_gradient(*conv, data, gradient, memory, grad_weights);
  return DETKIT_OK;
}

}  // namespace DETKIT_ISA
}  // namespace detkit

DETKIT_PRODUCTS(conv3x3_workspace, (const DetkitConv3x3* conv, int64_t* forward, int64_t* backward),
                (conv, forward, backward), conv->bfloat16)
DETKIT_PRODUCTS(conv3x3_backward,
                (const DetkitConv3x3* conv, const float* data, const float* weights,
                 const float* out, const float* grad_out, void* workspace, float* grad_data,
                 float* grad_weights, float* grad_bias),
                (conv, data, weights, out, grad_out, workspace, grad_data, grad_weights, grad_bias),
                conv->bfloat16)
