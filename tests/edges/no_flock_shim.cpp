// Loaded into the program (LD_PRELOAD), it makes every file system one without flock(): NFS without its lock
// service says 37 (ENOLCK), FUSE 38 (ENOSYS), Lustre 95 (EOPNOTSUPP).
#include <cerrno>
#include <cstdlib>

extern "C" int flock(int /*descriptor*/, int /*operation*/) {
  const char* number = std::getenv("FORESIGHT_FLOCK_ERRNO");
  errno = number == nullptr ? ENOLCK : std::atoi(number);
  return -1;
}
