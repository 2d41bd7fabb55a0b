// Cases for the kernels that pool under RoIs, forward and backward, and for the masks.
#include <deque>

#include "fuzz_kernels.h"

namespace {

// One call of an RoI kernel: geometry, features, RoIs, and room for all that it writes.
struct RoICase {
  DetkitRoIs geometry;
  bool strange;  // there may be NaN and infinities in the features and the gradient
  Floats rois;
  std::deque<Floats> features, grad_features;
  const float* maps[DETKIT_MAX_LEVELS];
  float* grad_maps[DETKIT_MAX_LEVELS];
  Floats out, grad_out, grad_rois;

  explicit RoICase(Random& random)
      : geometry(draw_geometry(random)),
        strange(!random.ordinary() && random.chance(0.5)),
        rois(random, 5 * size_t(geometry.rois)),
        out(random, size_t(geometry.rois) * row()),
        grad_out(random, out.count()),
        grad_rois(random, rois.count()) {
    fill_boxes(random, rois, 5);
    for (int r = 0; r < geometry.rois; ++r) {
      const int image = random.between(0, std::max(geometry.images - 1, 0));
      const float strange_image = random.one_of(kStrange);
      const float wrong = random.one_of({-1.f, float(geometry.images), 0.5f, strange_image});
      rois[5 * size_t(r)] = random.chance(0.1) ? wrong : float(image);
    }
    for (int level = 0; level < geometry.levels; ++level) {
      const size_t count = size_t(geometry.images) * geometry.channels * geometry.height[level] *
                           geometry.width[level];
      fill(random, features.emplace_back(random, count));
      maps[level] = features.back().data();
      grad_maps[level] = grad_features.emplace_back(random, count).data();
    }
    fill(random, grad_out);
  }

  static DetkitRoIs draw_geometry(Random& random) {
    DetkitRoIs geometry = {};
    geometry.images = random.between(0, 2), geometry.channels = random.between(1, 36);
    geometry.rois = random.count(20), geometry.size = random.one_of({1, 2, 3, 5, 7, 7, 14});
    geometry.levels = random.chance(0.6) ? 1 : random.between(2, 4);
    for (int level = 0; level < geometry.levels; ++level) {
      geometry.height[level] = random.chance(0.1) ? 1 : random.between(1, 18);
      geometry.width[level] = random.chance(0.1) ? 1 : random.between(1, 18);
      geometry.scale[level] = random.one_of({1.f, 0.25f, 0.125f, 1.f / 16}) / float(1 << level);
    }
    geometry.first_level = random.between(0, 3);
    geometry.canonical_level = geometry.first_level + random.between(-1, 2);
    geometry.canonical_size = random.one_of({8.f, 30.f, 224.f});
    geometry.level_margin = random.one_of({0.f, 1.f});
    return geometry;
  }

  size_t row() const { return size_t(geometry.channels) * geometry.size * geometry.size; }

  void fill(Random& random, Floats& values) const {
    for (size_t i = 0; i < values.count(); ++i) {
      values[i] = strange ? random.number(-3, 3) : random.uniform_or_half(-3, 3);
    }
  }

  bool on_an_image(size_t roi) const {
    const float image = rois[5 * roi];
    return image >= 0 && image < float(geometry.images) && image == floorf(image);
  }
};

void check_forward(const RoICase& c) {
  c.out.written("out");
  if (!c.strange) c.out.within("out", -3 - kEpsilon, 3 + kEpsilon);
  for (size_t i = 0; i < c.out.count(); ++i) {
    require(c.out[i] == 0 || c.on_an_image(i / c.row()), "out[%zu] of no image", i);
  }
}

struct Product {
  double sum = 0, magnitude = 0;

  void add(const Floats& a, const Floats& b) {
    for (size_t i = 0; i < a.count(); ++i) {
      const double product = double(a[i]) * b[i];
      sum += product;
      magnitude += fabs(product);
    }
  }
};

// Every kernel is linear for a given choice of maxima, so <out, grad_out> = <features, gradient>.
void check_backward(const RoICase& c) {
  for (const Floats& gradient : c.grad_features) gradient.written("gradient");
  if (c.strange) return;
  Product forward, backward;
  forward.add(c.out, c.grad_out);
  for (int level = 0; level < c.geometry.levels; ++level) {
    backward.add(c.features[level], c.grad_features[level]);
  }
  const double tolerance = kEpsilon * (1 + forward.magnitude + backward.magnitude);
  require(fabs(forward.sum - backward.sum) <= tolerance, "<out, grad_out> = %g, not %g",
          forward.sum, backward.sum);
}

void check_grad_rois(const RoICase& c) {
  c.grad_rois.written("grad_rois");
  for (size_t i = 0; i < c.grad_rois.count(); ++i) {
    const bool moves = i % 5 > 0 && c.on_an_image(i / 5) && fabsf(c.rois[i]) <= 1e4f;
    require(moves || c.grad_rois[i] == 0, "grad_rois[%zu] = %g", i, c.grad_rois[i]);
    require(c.strange || isfinite(c.grad_rois[i]), "grad_rois[%zu] = %g", i, c.grad_rois[i]);
  }
}

}  // namespace

void fuzz_roi_align(Random& random, uint64_t*) {
  RoICase c(random);
  const DetkitAlign align = {random.between(0, 3), random.between(0, 1), random.between(0, 1)};
  succeeded(detkit_roi_align(&c.geometry, &align, c.maps, c.rois.data(), c.out.data()));
  check_forward(c);
  const bool needed = align.mode == DETKIT_MAX || random.chance(0.5);
  succeeded(detkit_roi_align_backward(&c.geometry, &align, needed ? c.maps : nullptr, c.rois.data(),
                                      c.grad_out.data(), c.grad_maps));
  check_backward(c);
}

void fuzz_roi_pool(Random& random, uint64_t*) {
  RoICase c(random);
  const int mode = random.between(0, 1);
  succeeded(detkit_roi_pool(&c.geometry, mode, c.maps, c.rois.data(), c.out.data()));
  check_forward(c);
  const bool needed = mode == DETKIT_MAX || random.chance(0.5);
  succeeded(detkit_roi_pool_backward(&c.geometry, mode, needed ? c.maps : nullptr, c.rois.data(),
                                     c.grad_out.data(), c.grad_maps));
  check_backward(c);
}

void fuzz_prroi_pool(Random& random, uint64_t*) {
  RoICase c(random);
  succeeded(detkit_prroi_pool(&c.geometry, c.maps, c.rois.data(), c.out.data()));
  check_forward(c);
  float* grad_rois = random.chance(0.7) ? c.grad_rois.data() : nullptr;
  succeeded(detkit_prroi_pool_backward(&c.geometry, c.maps, c.rois.data(), c.grad_out.data(),
                                       c.grad_maps, grad_rois));
  check_backward(c);
  if (grad_rois) check_grad_rois(c);
}

void fuzz_crop_pool(Random& random, uint64_t*) {
  RoICase c(random);
  succeeded(detkit_crop_pool(&c.geometry, c.maps, c.rois.data(), c.out.data()));
  check_forward(c);
  succeeded(detkit_crop_pool_backward(&c.geometry, c.maps, c.rois.data(), c.grad_out.data(),
                                      c.grad_maps));
  check_backward(c);
}

void fuzz_mask_target(Random& random, uint64_t*) {
  const DetkitMaskTarget target = {random.between(0, 2),  random.between(0, 3),
                                   random.count(20),      random.between(1, 40),
                                   random.between(1, 40), random.one_of({1, 2, 7, 14, 28})};
  const size_t masks = size_t(target.images) * target.objects;
  const size_t count = size_t(target.images) * target.rois;
  const size_t cells = size_t(target.size) * target.size;
  Array<uint8_t> pixels(random, masks * size_t(target.height) * size_t(target.width));
  for (size_t i = 0; i < pixels.count(); ++i) pixels[i] = random.one_of<uint8_t>({0, 1, 255});
  Floats rois(random, 4 * count), out(random, count * cells);
  fill_boxes(random, rois);
  Ints index(random, count);
  for (size_t i = 0; i < count; ++i) {
    index[i] = random.chance(0.1) ? random.one_of({-1, INT32_MIN, INT32_MAX, target.objects})
                                  : random.between(0, std::max(target.objects - 1, 0));
  }
  succeeded(detkit_mask_target(&target, pixels.data(), rois.data(), index.data(), out.data()));
  out.written("out");
  out.within("out", 0, 1 + kEpsilon);
  for (size_t i = 0; i < out.count(); ++i) {
    const int object = index[i / cells];
    require(out[i] == 0 || (object >= 0 && object < target.objects), "out[%zu] of no object", i);
  }
}

void fuzz_mask_paste(Random& random, uint64_t*) {
  const int masks = random.count(10), size = random.one_of({1, 2, 7, 14, 28});
  const int height = random.between(0, 40), width = random.between(0, 40);
  Floats probabilities(random, size_t(masks) * size_t(size) * size_t(size));
  Floats boxes(random, 4 * size_t(masks));
  Floats out(random, size_t(masks) * size_t(height) * size_t(width));
  probabilities.fill(random, 0, 1);
  fill_boxes(random, boxes);
  succeeded(detkit_mask_paste(masks, size, probabilities.data(), boxes.data(), height, width,
                              out.data()));
  out.written("out");
  if (random.ordinary()) out.within("out", 0, 1 + kEpsilon);
}
