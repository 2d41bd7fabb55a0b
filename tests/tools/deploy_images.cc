// The images of tools/deploy without a detector, for test_deploy_images.py:
//
//   deploy_images read FILE...   for each file a line "HEIGHT WIDTH" and the pixels as raw RGB, or
//                                a line "0 0 MESSAGE" if it is refused
//   deploy_images copy FROM TO   reads an image and writes it
#include <cstdio>
#include <string>

#include "image_file.hpp"

namespace {

void print(const char* path) {
  try {
    const detkit::Picture picture = detkit::read_picture(path);
    std::printf("%d %d\n", picture.height, picture.width);
    std::fwrite(picture.rgb.data(), 1, picture.rgb.size(), stdout);
  } catch (const detkit::Error& error) {
    std::printf("0 0 %s\n", error.what());
  }
}

}  // namespace

int main(int count, char** words) {
  if (words[1] == std::string("copy")) {
    detkit::write_picture(words[3], detkit::read_picture(words[2]));
    return 0;
  }
  for (int i = 2; i < count; ++i) print(words[i]);
}
