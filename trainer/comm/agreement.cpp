#include "trainer/comm/agreement.h"

#include "trainer/base/await_file.h"
#include "trainer/base/error.h"
#include "trainer/base/text.h"

namespace foresight {

std::vector<std::filesystem::path> files_of_lead(
    World& world, const std::function<std::vector<std::filesystem::path>()>& find, const char* what) {
  constexpr char kEnd = '\0';  // a path holds anything else
  std::string found;
  if (world.leads()) {
    for (const std::filesystem::path& file : find()) found += file.string() + kEnd;
  }
  found = world.broadcast(found, what);
  std::vector<std::filesystem::path> files;
  for (std::size_t begin = 0; begin < found.size(); begin = found.find(kEnd, begin) + 1) {
    files.emplace_back(found.substr(begin, found.find(kEnd, begin) - begin));
    if (!world.leads()) await_file(files.back());
  }
  return files;
}

void require_own_devices(World& world, const std::string& identity) {
  const auto all = world.all_gather(identity, "devices of ranks");
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    for (std::size_t other = 0; other < rank; ++other) {
      if (all[rank].empty() || all[rank] != all[other]) continue;
      throw Error(
          ErrorKind::kConfig,
          concat("ranks ", other, " and ", rank, " on ", world.host(static_cast<int>(rank)),
                 " share one GPU: start one rank for each GPU (mpirun -np, srun --gpus-per-task=1), or set "
                 "runtime.device=cpu"));
    }
  }
}

}  // namespace foresight
