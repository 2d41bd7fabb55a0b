// The command-line program. options.cpp has its arguments.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <thread>

#include "draw.hpp"
#include "image_file.hpp"
#include "json.hpp"
#include "mask.hpp"
#include "memory.hpp"
#include "options.hpp"
#include "predictor.hpp"
#include "system.hpp"
#include "tiles.hpp"

namespace detkit {
namespace {

using Found = std::vector<Detection>;

std::string text_of(const char* format, double value) {
  char text[40];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string json_of(const Detection& found, const std::string& name, const Image& image) {
  std::string out = "{\"box\": [";
  for (const float side : {found.x1, found.y1, found.x2, found.y2}) {
    out += (out.back() == '[' ? "" : ", ") + text_of("%.9g", side);
  }
  out += "], \"score\": " + text_of("%.9g", found.score) + ", \"label\": ";
  out += std::to_string(found.label) + ", \"name\": " + quoted(name);
  if (found.mask_size > 0) {
    const std::vector<float> mask = paste_mask(found, image.height, image.width);
    out += ", \"mask\": {\"size\": [" + std::to_string(image.height) + ", " +
           std::to_string(image.width) +
           "], \"counts\": " + quoted(coco_run_lengths(mask, image.height, image.width)) + "}";
  }
  for (const Keypoint& point : found.keypoints) {
    out += &point == &found.keypoints.front() ? ", \"keypoints\": [[" : "], [";
    out += text_of("%.9g", point.x) + ", " + text_of("%.9g", point.y) + ", ";
    out += text_of("%.9g", point.score);
  }
  return out + (found.keypoints.empty() ? "}" : "]]}");
}

std::string json_of(const Found& detections, const std::vector<std::string>& classes,
                    const std::string& path, const Image& image, double median_ms) {
  std::string out = "{\"path\": " + quoted(path) + ", \"height\": " + std::to_string(image.height) +
                    ", \"width\": " + std::to_string(image.width);
  if (median_ms >= 0) out += ", \"median_ms\": " + text_of("%.3f", median_ms);
  out += ", \"detections\": [";
  for (const Detection& found : detections) {
    out += out.back() == '[' ? "" : ", ";
    out += json_of(found, classes[size_t(found.label)], image);
  }
  return out + "]}\n";
}

// The images of a run, which several threads take a batch at a time. The output stays in order.
class Run {
 public:
  explicit Run(const Options& options) : options_(options) {
    if (options.draw_folder.empty()) return;
    drawn_paths_ = drawn_paths(options.images, options.draw_folder);
    std::error_code error;
    std::filesystem::create_directories(std::filesystem::u8path(options.draw_folder), error);
    if (error) throw Error(options.draw_folder + ": the folder cannot be made: " + error.message());
  }

  void go() {
    const size_t batches = (options_.images.size() + batch() - 1) / batch();
    std::vector<std::thread> threads;
    // MXNet is loaded while there is memory for it: it crashes if it is loaded for half.
    auto detector = std::make_unique<Detector>(options_.folder);
    to_make_ = std::min(size_t(options_.threads), batches);
    check_memory(to_make_, [this] { return tried_detector(); });
    start(to_make_, &threads);
    work(std::move(detector));
    for (std::thread& thread : threads) thread.join();
    if (error_) std::rethrow_exception(error_);
  }

 private:
  // Images at once: one in tiles, --batch of which are then at once.
  size_t batch() const { return options_.tiles > 0 ? 1 : size_t(options_.batch); }

  std::vector<Found> found_in(Detector* detector, const std::vector<Image>& images) const {
    if (options_.tiles == 0) return detector->detect(images);
    Tiling tiling{options_.tiles};
    tiling.overlap = options_.overlap.value_or(tiling.overlap);
    tiling.whole = !options_.no_whole;
    tiling.batch = options_.batch;
    std::vector<Found> found;
    for (const Image& image : images) found.push_back(detect_in_tiles(detector, image, tiling));
    return found;
  }

  // Returns a detector that has detected the objects of the first batch.
  std::unique_ptr<Detector> tried_detector() const {
    auto detector = std::make_unique<Detector>(options_.folder);
    const std::vector<Picture> pictures = read(0, std::min(batch(), options_.images.size()));
    found_in(detector.get(), views(pictures));
    return detector;
  }

  // Makes all threads but this one, or none of them does any work. A thread that cannot be made is
  // an error like any other: the others have to be joined all the same.
  void start(size_t count, std::vector<std::thread>* threads) {
    const std::lock_guard<std::mutex> lock(mutex_);  // nobody begins before all are there
    try {
      while (threads->size() + 1 < count) threads->emplace_back([this] { work(); });
    } catch (const std::exception& error) {
      error_ = std::make_exception_ptr(
          Error("--threads " + std::to_string(options_.threads) + ": expected " +
                std::to_string(count) + " threads, found " + std::to_string(threads->size() + 1) +
                " that the system can make (" + error.what() + "); use fewer"));
    }
  }

  // Keeps the first error of all threads, which ends them.
  void fail(std::exception_ptr error) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!error_) error_ = error;
    all_made_.notify_all();
  }

  bool has_failed() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return error_ != nullptr;
  }

  // Does a thread's work with a detector of its own.
  void work() {
    try {
      if (has_failed()) return;
      work(std::make_unique<Detector>(options_.folder));
    } catch (...) {
      fail(std::current_exception());
    }
  }

  // Takes batch after batch, until none is left or one fails.
  void work(std::unique_ptr<Detector> detector) {
    try {
      warn(detector->warning());
      wait_for_detectors();
      for (size_t first; take(&first);) {
        const size_t last = std::min(first + batch(), options_.images.size());
        finish(first, process(detector.get(), first, last));
      }
    } catch (...) {
      fail(std::current_exception());
    }
    // The process ends after an error. If MXNet has run out of memory, freeing a detector would
    // wait for it without an end, or free what another thread does.
    if (has_failed()) static_cast<void>(detector.release());
  }

  // Waits until every thread has its detector, or one has failed. If memory is missing, MXNet says
  // so while it makes a detector. It crashes while it compiles the first kernel of an operator.
  void wait_for_detectors() {
    std::unique_lock<std::mutex> lock(mutex_);
    --to_make_;
    all_made_.notify_all();
    all_made_.wait(lock, [this] { return to_make_ == 0 || error_; });
  }

  // Prints the warning once, for any number of threads.
  void warn(const std::string& warning) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!warning.empty() && !warned_) std::fprintf(stderr, "detect: %s\n", warning.c_str());
    warned_ = warned_ || !warning.empty();
  }

  bool take(size_t* first) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (error_ || next_ >= options_.images.size()) return false;
    *first = next_;
    next_ += batch();
    return true;
  }

  void finish(size_t first, std::string text) {
    const std::lock_guard<std::mutex> lock(mutex_);
    waiting_[first] = std::move(text);
    for (auto it = waiting_.begin(); it != waiting_.end() && it->first == printed_;) {
      if (std::fputs(it->second.c_str(), stdout) < 0 || std::fflush(stdout) != 0) {
        throw Error("cannot write to the standard output");
      }
      printed_ += batch();
      it = waiting_.erase(it);
    }
  }

  std::vector<Picture> read(size_t first, size_t last) const {
    std::vector<Picture> pictures;
    for (size_t i = first; i < last; ++i) pictures.push_back(read_picture(options_.images[i]));
    return pictures;
  }

  static std::vector<Image> views(const std::vector<Picture>& pictures) {
    std::vector<Image> images;
    for (const Picture& picture : pictures) images.push_back(picture.view());
    return images;
  }

  std::string process(Detector* detector, size_t first, size_t last) const {
    std::vector<Picture> pictures = read(first, last);
    const std::vector<Image> images = views(pictures);
    std::vector<Found> found;
    const double median_ms = detect(detector, images, &found);
    std::string text;
    for (size_t i = 0; i < images.size(); ++i) {
      found[i].erase(
          std::remove_if(found[i].begin(), found[i].end(),
                         [&](const Detection& one) { return !is_shown(*detector, one); }),
          found[i].end());
      const std::string& path = options_.images[first + i];
      if (options_.prints_json()) {
        text += json_of(found[i], detector->classes(), path, images[i], median_ms);
      }
      if (!drawn_paths_.empty()) {
        draw(found[i], detector->classes(), detector->skeleton(), &pictures[i]);
        write_picture(drawn_paths_[first + i], pictures[i]);
      }
    }
    return text;
  }

  bool is_shown(const Detector& detector, const Detection& found) const {
    if (options_.score) return found.score >= *options_.score;
    return double(found.score) >= detector.threshold(found.label).value_or(0.5);
  }

  // Returns the median milliseconds, -1 without --repeat.
  double detect(Detector* detector, const std::vector<Image>& images,
                std::vector<Found>* found) const {
    *found = found_in(detector, images);
    std::vector<double> times;
    for (int i = 0; i < options_.repeat; ++i) {
      const auto start = std::chrono::steady_clock::now();
      *found = found_in(detector, images);
      const std::chrono::duration<double, std::milli> taken =
          std::chrono::steady_clock::now() - start;
      times.push_back(taken.count());
    }
    if (times.empty()) return -1;
    const auto middle = times.begin() + std::ptrdiff_t(times.size() / 2);
    std::nth_element(times.begin(), middle, times.end());
    return *middle;
  }

  const Options& options_;
  std::vector<std::string> drawn_paths_;
  std::mutex mutex_;  // guards the members below
  std::condition_variable all_made_;
  size_t to_make_ = 0;  // the number of detectors that are still to be made
  size_t next_ = 0, printed_ = 0;
  std::map<size_t, std::string> waiting_;
  bool warned_ = false;
  std::exception_ptr error_;
};

}  // namespace
}  // namespace detkit

int main(int count, char** words) {
  detkit::prepare_process();
  detkit::keep_line_ends();
  try {
    const detkit::Options options = detkit::parse_options(detkit::arguments(count, words));
    if (options.help) {
      std::printf("%s\nThe networks are run by %s.\n", detkit::kUsage, detkit::kBackend.name);
    } else {
      detkit::prepare_for_limit();
      detkit::Run(options).go();
    }
    return 0;
  } catch (const std::bad_alloc&) {
    std::fputs(
        "detect: expected memory for the detectors and images, found none left; use fewer "
        "--threads, a smaller --batch or smaller images\n",
        stderr);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "detect: %s\n", error.what());
  }
  std::_Exit(1);  // MXNet's threads may be at work, and crash in a process that ends by return
}
