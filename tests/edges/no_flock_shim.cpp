// Loaded into the program (LD_PRELOAD), it makes flock() fail on every file system: NFS without its lock
// service returns 37 (ENOLCK), FUSE 38 (ENOSYS), Lustre 95 (EOPNOTSUPP).
#include <cerrno>
#include <cstdlib>

extern "C" int flock(int /*descriptor*/, int /*operation*/) {
  const char* number = std::getenv("FORESIGHT_FLOCK_ERRNO");
  errno = number == nullptr ? ENOLCK : std::atoi(number);
  return -1;
}
