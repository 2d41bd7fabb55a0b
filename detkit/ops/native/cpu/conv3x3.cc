// A 3x3 convolution, tile by tile. All products of a block of tiles are made while its inputs at
// the points are in the cache, and its sums leave the cache as outputs only.
#include "conv3x3.h"

#include "../checks.h"
#include "kept.h"
#include "products.h"
#include "threads.h"

namespace detkit {
namespace DETKIT_ISA {
namespace {

constexpr int kBlockTiles = kColumns * kLanes;
constexpr int kGroup = 64;  // output channels whose sums stay in the cache
constexpr int kChunk = 16;  // input channels of the weights that are transformed together
constexpr int kPanels = kGroup / kRows;
constexpr int kForm = kRows * 4 + kDeep;  // of the transformed weights, which builds do not share

// The arrays of a convolution.
struct Plan {
  explicit Plan(const DetkitConv3x3& conv)
      : grid(conv.images, conv.height, conv.width),
        in(conv.in_channels),
        depth(depth_of(in)),
        out(round_up(conv.out_channels, kRows)),
        groups((out + kGroup - 1) / kGroup),
        blocks((grid.count + kBlockTiles - 1) / kBlockTiles),
        threads(available_threads()),
        points_stride(static_cast<size_t>(depth) * kBlockTiles + kPad),
        sums_stride(static_cast<size_t>(kGroup) * kBlockTiles + kPad) {}

  size_t panel() const { return static_cast<size_t>(depth) * kRows; }  // factors
  size_t factors() const { return kProducts * panel() * (out / kRows); }
  int channels(int group) const { return group + 1 < groups ? kGroup : out - group * kGroup; }

  const TileGrid grid;
  const int in, depth, out, groups;
  const int64_t blocks;
  const int threads;
  const size_t points_stride, sums_stride;  // from a product to the next
};

// What all threads read.
struct Shared {
  Shared(Arena* arena, const Plan& plan)
      : weights(arena->take<Factor>(plan.factors())),
        zeros(arena->take<float>(static_cast<size_t>(plan.grid.width) + kLanes)) {}

  Factor* const weights;  // [group][product][panel of kRows outputs][input][kRows]
  float* const zeros;
};

// What one thread works in.
struct Own {
  Own(Arena* arena, const Plan& plan, const float* zeros)
      : points(arena->take<Factor>(kProducts * plan.points_stride + kLanes)),
        sums(arena->take<float>(kProducts * plan.sums_stride + kLanes)),
        segments(arena->take<Segment>(kBlockTiles)),
        lines(arena, kBlockTiles, zeros) {}

  Factor* const points;  // [product][input][tile]
  float* const sums;     // [product][output of the group][tile]
  Segment* const segments;
  const Lines lines;
};

// Weights (out, in, 3, 3), or (in, out, 3, 3) turned by half a circle.
struct Weights {
  const float* values;
  const int in, out;
  const bool is_turned;

  // tap 0..8 of kRows outputs and up to kChunk inputs, to taps[tap][input][output].
  void read(int first_out, int first_in, int count, float (&taps)[9][kChunk * kRows]) const {
    for (int r = 0; r < kRows && first_out + r < out; ++r) {
      for (int c = 0; c < count; ++c) {
        const size_t o = static_cast<size_t>(first_out) + r, i = static_cast<size_t>(first_in) + c;
        const float* from = values + (is_turned ? i * out + o : o * in + i) * 9;
        for (int tap = 0; tap < 9; ++tap) {
          taps[tap][c * kRows + r] = from[is_turned ? 8 - tap : tap];
        }
      }
    }
  }
};

// kLanes weights of inputs and outputs: taps[tap][lane] to points[product * stride].
void taps_to_points(const float (&taps)[9][kChunk * kRows], int lane, int lanes, Factor* points,
                    size_t stride) {
  Doubles half[kPoints][kTaps];  // points along y, taps along x
  for (int j = 0; j < kTaps; ++j) {
    Doubles column[kTaps], u[kPoints];
    for (int i = 0; i < kTaps; ++i) {
      column[i] = __builtin_convertvector(load_lanes(&taps[i * kTaps + j][lane]), Doubles);
    }
    weights_to_points(column, u);
    for (int i = 0; i < kPoints; ++i) half[i][j] = u[i];
  }
  for (int i = 0; i < kPoints; ++i) {
    Doubles u[kPoints];
    weights_to_points(half[i], u);
    for (int j = 0; j < kPoints; ++j) {
      Factor* to = points + (i * kPoints + j) * stride;
      store_weights(to, __builtin_convertvector(u[j], Floats), lanes);
    }
  }
}

void weights_to_points(const Plan& plan, const Weights& weights, Factor* to) {
  const int panels = plan.out / kRows;
#pragma omp parallel for num_threads(plan.threads) schedule(static)
  for (int panel = 0; panel < panels; ++panel) {
    const int first = panel / kPanels * kPanels;  // of the group
    const size_t stride = plan.panel() * (panels - first < kPanels ? panels - first : kPanels);
    Factor* points = to + plan.panel() * (static_cast<size_t>(first) * kProducts + (panel - first));
    alignas(64) float taps[9][kChunk * kRows] = {};
    for (int input = 0; input < plan.in; input += kChunk) {
      const int inputs = plan.in - input < kChunk ? plan.in - input : kChunk;
      weights.read(panel * kRows, input, inputs, taps);
      for (int lane = 0; lane < inputs * kRows; lane += kLanes) {
        Factor* at = points + (static_cast<size_t>(input) * kRows + lane) / kDeep;
        taps_to_points(taps, lane, inputs * kRows - lane, at, stride);
      }
    }
  }
}

// The inputs of a block to the points.
void data_to_points(const Plan& plan, const float* data, int segments, const Own& own) {
  for (int input = 0; input < plan.in; ++input) {
    Factor* points = own.points + static_cast<size_t>(input / kDeep) * kBlockTiles;
    const PointsStore store(input, plan.in);
    for (int s = 0; s < segments; ++s) {
      const Segment& segment = own.segments[s];
      const size_t map = static_cast<size_t>(segment.image) * plan.in + input;
      plane_to_points(plan.grid, segment, data + map * plan.grid.plane(), own.lines, store, points,
                      plan.points_stride);
    }
  }
}

// The sums of a group of outputs of a block.
void multiply_group(const Plan& plan, const Factor* weights, int group, int tiles, const Own& own) {
  const int vectors = (tiles + kLanes - 1) / kLanes;
  const auto kernel = vectors == 1 ? multiply<1> : vectors == 2 ? multiply<2> : multiply<3>;
  const int panels = plan.channels(group) / kRows;
  weights += kProducts * plan.panel() * kPanels * group;
  for (int product = 0; product < kProducts; ++product) {
    const Factor* points = own.points + product * plan.points_stride;
    float* sums = own.sums + product * plan.sums_stride;
    for (int panel = 0; panel < panels; ++panel, weights += plan.panel()) {
      kernel(weights, points, plan.depth, kBlockTiles, sums + panel * kRows * kBlockTiles);
    }
  }
}

// The sums of a group of outputs of a block to those outputs.
void points_to_outputs(const Plan& plan, const DetkitConv3x3& conv, const float* bias, int group,
                       int segments, const Own& own, float* out) {
  const int start = group * kGroup, end = start + plan.channels(group);
  const size_t plane = conv.pools ? plan.grid.pooled_plane() : plan.grid.plane();
  const bool past_cache =
      static_cast<size_t>(conv.images) * conv.out_channels * plane > kBeyondCache;
  const Finish finish = {bound_of(conv), conv.pools != 0, past_cache};
  for (int o = start; o < end && o < conv.out_channels; ++o) {
    const float* sums = own.sums + static_cast<size_t>(o - start) * kBlockTiles;
    for (int s = 0; s < segments; ++s) {
      const Segment& segment = own.segments[s];
      const size_t map = static_cast<size_t>(segment.image) * conv.out_channels + o;
      points_to_plane(plan.grid, segment, sums, plan.sums_stride, bias ? bias[o] : 0.0f, finish,
                      out + map * plane);
    }
  }
  if (past_cache) finish_past_cache();
}

// Into how many parts the groups of each block are split, so that all threads have work until the
// end. Each part transforms the inputs again. Times are in instructions for a vector of tiles.
int parts_of(const Plan& plan) {
  const double inputs = 300.0 * plan.in, group = 36.0 * kGroup * plan.depth + 180.0 * kGroup;
  int best = 1;
  double least = 0;
  for (int parts = 1; parts <= plan.groups; ++parts) {
    const int64_t rounds = (plan.blocks * parts + plan.threads - 1) / plan.threads;
    const int groups = (plan.groups + parts - 1) / parts;
    const double time = static_cast<double>(rounds) * (inputs + groups * group);
    if (parts == 1 || time < 0.98 * least) best = parts, least = time;
  }
  return best;
}

}  // namespace

size_t convolution_bytes(const DetkitConv3x3& conv) {
  const Plan plan(conv);
  Arena shared(nullptr), own(nullptr);
  Shared{&shared, plan};
  Own{&own, plan, nullptr};
  return shared.used() + own.used() * plan.threads;
}

// The outputs of weights at the points.
void convolve_by(const Plan& plan, const DetkitConv3x3& conv, const float* data,
                 const Factor* weights, const float* bias, char* memory, float* out) {
  Arena arena(memory), measure(nullptr);
  const Shared shared(&arena, plan);
  Own{&measure, plan, nullptr};
  char* const own_memory = memory + arena.used();
  memset(shared.zeros, 0, sizeof(float) * (static_cast<size_t>(conv.width) + kLanes));
  const int parts = parts_of(plan);
  const double multiply_adds = 36.0 * kBlockTiles * plan.depth * plan.out / parts;
  const int threads = threads_for(plan.blocks * parts, multiply_adds / 50);
#pragma omp parallel for num_threads(threads) schedule(dynamic)
  for (int64_t task = 0; task < plan.blocks * parts; ++task) {
    Arena mine(own_memory + measure.used() * static_cast<size_t>(this_thread()));
    const Own own(&mine, plan, shared.zeros);
    const int64_t first = task / parts * kBlockTiles;
    const int part = static_cast<int>(task % parts);
    const int tiles = plan.grid.tiles(first, kBlockTiles);
    const int segments = plan.grid.segments(first, tiles, own.segments);
    data_to_points(plan, data, segments, own);
    for (int group = plan.groups * part / parts; group < plan.groups * (part + 1) / parts;
         ++group) {
      multiply_group(plan, weights, group, tiles, own);
      points_to_outputs(plan, conv, bias, group, segments, own, out);
    }
  }
}

void convolve(const DetkitConv3x3& conv, bool is_turned, const float* data, const float* weights,
              const float* bias, char* memory, float* out) {
  const Plan plan(conv);
  const Weights read = {weights, conv.in_channels, conv.out_channels, is_turned};
  const auto convolve_with = [&](const Factor* points) {
    convolve_by(plan, conv, data, points, bias, memory, out);
  };
  if (conv.keeps) {
    const size_t count = static_cast<size_t>(9) * conv.in_channels * conv.out_channels;
    Kept kept(KeptKey(weights, count, conv.in_channels, conv.out_channels, kForm),
              plan.factors() * sizeof(Factor));
    if (Factor* const points = static_cast<Factor*>(kept.to_fill())) {
      weights_to_points(plan, read, points);
      kept.set_filled();
    }
    if (kept.filled()) return convolve_with(static_cast<const Factor*>(kept.filled()));
  }
  Arena arena(memory);
  Factor* const points = Shared(&arena, plan).weights;
  weights_to_points(plan, read, points);
  convolve_with(points);
}

int conv3x3(const DetkitConv3x3* conv, const float* data, const float* weights, const float* bias,
            void* workspace, float* out) {
  if (!is_valid(*conv)) return DETKIT_BAD_ARGUMENT;
  convolve(*conv, false, data, weights, bias, static_cast<char*>(workspace), out);
  return DETKIT_OK;
}

}  // namespace DETKIT_ISA
}  // namespace detkit

DETKIT_PRODUCTS(conv3x3,
                (const DetkitConv3x3* conv, const float* data, const float* weights,
                 const float* bias, void* workspace, float* out),
                (conv, data, weights, bias, workspace, out), conv->bfloat16)
