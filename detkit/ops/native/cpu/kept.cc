// The store of arrays that kernels made of constant weights; see kept.h.
#include "kept.h"

#include <stdlib.h>
#include <string.h>

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

namespace detkit {
namespace {

constexpr const char* kVariable = "DETKIT_KEPT_WEIGHTS";  // MB of all arrays together
constexpr int64_t kMost = 1024;                           // without the variable
constexpr size_t kPiece = size_t{1} << 15;                // floats that a thread hashes at a time
constexpr int kStreams = 8;  // hashes at once: a multiplication takes its time

uint64_t mixed(uint64_t hash, uint64_t word) {
  hash ^= word;
  return (hash << 29 | hash >> 35) * 0x9e3779b97f4a7c15u;
}

// A hash of up to kPiece floats. Pieces that differ in one word have different hashes.
uint64_t hash_of(const float* values, size_t count, uint64_t seed) {
  uint64_t streams[kStreams];
  for (int s = 0; s < kStreams; ++s) streams[s] = mixed(seed, static_cast<uint64_t>(s) + 1);
  size_t i = 0;
  for (; i + 2 * kStreams <= count; i += 2 * kStreams) {
    uint64_t words[kStreams];
    memcpy(words, values + i, sizeof words);
    for (int s = 0; s < kStreams; ++s) streams[s] = mixed(streams[s], words[s]);
  }
  uint64_t hash = mixed(seed, count);
  for (; i < count; ++i) {
    uint32_t word;
    memcpy(&word, values + i, sizeof word);
    hash = mixed(hash, word);
  }
  for (const uint64_t stream : streams) hash = mixed(hash, stream);
  return hash;
}

}  // namespace

// Two halves with seeds of their own: 128 bits do not meet by chance.
KeptKey::KeptKey(const float* weights, size_t count, int in, int out, int form)
    : values{1, 2}, in(in), out(out), form(form) {
  const int64_t pieces = static_cast<int64_t>((count + kPiece - 1) / kPiece);
  std::vector<uint64_t> hashes(2 * static_cast<size_t>(pieces));
#pragma omp parallel for schedule(static) if (pieces > 1)
  for (int64_t piece = 0; piece < pieces; ++piece) {
    const size_t first = static_cast<size_t>(piece) * kPiece;
    const size_t floats = count - first < kPiece ? count - first : kPiece;
    for (size_t half = 0; half < 2; ++half) {
      hashes[2 * static_cast<size_t>(piece) + half] = hash_of(weights + first, floats, half + 1);
    }
  }
  for (size_t i = 0; i < hashes.size(); ++i) values[i % 2] = mixed(values[i % 2], hashes[i]);
}

struct KeptArray {
  KeptKey key;
  size_t bytes;
  void* memory;
  bool is_filled;
  int users;
  uint64_t last_use;
};

namespace {

class Store {
 public:
  Store() {
    const char* asked = getenv(kVariable);
    const int64_t most = asked ? strtoll(asked, nullptr, 10) : kMost;
    most_ = most > 0 ? static_cast<size_t>(most) << 20 : 0;
  }

  // The array of a key with one more user; null if it cannot be had.
  KeptArray* take(const KeptKey& key, size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    KeptArray* array = find(key);
    if (array ? !array->is_filled : !(array = make(key, bytes))) return nullptr;
    ++array->users;
    array->last_use = ++uses_;
    return array;
  }

  // Ends a use. An array that was not filled goes.
  void give_back(KeptArray* array) {
    const std::lock_guard<std::mutex> lock(mutex_);
    --array->users;
    if (!array->is_filled) remove(array);
  }

  bool is_filled(const KeptArray* array) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return array->is_filled;
  }

  void set_filled(KeptArray* array) {
    const std::lock_guard<std::mutex> lock(mutex_);
    array->is_filled = true;
  }

 private:
  KeptArray* find(const KeptKey& key) const {
    for (KeptArray* array : arrays_) {
      const KeptKey& other = array->key;
      const bool same = memcmp(other.values, key.values, sizeof key.values) == 0;
      if (same && other.in == key.in && other.out == key.out && other.form == key.form) {
        return array;
      }
    }
    return nullptr;
  }

  // Removes what was not used for the longest time until there is room.
  KeptArray* make(const KeptKey& key, size_t bytes) {
    while (bytes_ + bytes > most_) {
      KeptArray* oldest = nullptr;
      for (KeptArray* array : arrays_) {
        if (!array->users && (!oldest || array->last_use < oldest->last_use)) oldest = array;
      }
      if (!oldest) return nullptr;
      remove(oldest);
    }
    std::unique_ptr<KeptArray> array(new KeptArray{key, bytes, nullptr, false, 0, 0});
    arrays_.reserve(arrays_.size() + 1);
    array->memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!array->memory) return nullptr;
    bytes_ += bytes;
    arrays_.push_back(array.release());
    return arrays_.back();
  }

  void remove(KeptArray* array) {
    for (size_t i = 0; i < arrays_.size(); ++i) {
      if (arrays_[i] != array) continue;
      arrays_.erase(arrays_.begin() + static_cast<std::ptrdiff_t>(i));
      break;
    }
    bytes_ -= array->bytes;
    free(array->memory);
    delete array;
  }

  std::mutex mutex_;
  std::vector<KeptArray*> arrays_;
  size_t most_, bytes_ = 0;
  uint64_t uses_ = 0;
};

// It is never destroyed: threads may still calculate while the process ends.
Store& store() {
  static Store* const only = new Store;
  return *only;
}

}  // namespace

Kept::Kept(const KeptKey& key, size_t bytes) : array_(store().take(key, bytes)) {}

Kept::~Kept() {
  if (array_) store().give_back(array_);
}

const void* Kept::filled() const {
  return array_ && store().is_filled(array_) ? array_->memory : nullptr;
}

void* Kept::to_fill() const {
  return array_ && !store().is_filled(array_) ? array_->memory : nullptr;
}

void Kept::set_filled() {
  if (array_) store().set_filled(array_);
}

}  // namespace detkit
