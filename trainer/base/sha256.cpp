// SHA-256 through OpenSSL.
#include "trainer/base/sha256.h"

#include <openssl/evp.h>

#include <array>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/heartbeat.h"

namespace foresight {
namespace {

void check(bool succeeded) {
  if (!succeeded) {
    throw Error(
        ErrorKind::kResource,
        "SHA-256: OpenSSL refuses it; check that OPENSSL_CONF does not turn its default provider off");
  }
}

}  // namespace

Sha256::Sha256() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
  check(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
}

void Sha256::update(std::string_view bytes) {
  while (!bytes.empty()) {
    heartbeat();
    const std::string_view some = bytes.substr(0, kMostBytesBetweenBeats);
    check(EVP_DigestUpdate(context_.get(), some.data(), some.size()) == 1);
    bytes.remove_prefix(some.size());
  }
}

std::string Sha256::finish_hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  check(EVP_DigestFinal_ex(context_.get(), digest.data(), &length) == 1);
  constexpr std::string_view kHexDigits = "0123456789abcdef";
  std::string hex;
  for (unsigned int i = 0; i < length; ++i) {
    hex += kHexDigits[digest[i] >> 4];
    hex += kHexDigits[digest[i] & 15];
  }
  return hex;
}

std::string sha256_hex(std::string_view bytes) {
  Sha256 digest;
  digest.update(bytes);
  return digest.finish_hex();
}

std::string sha256_file_hex(const std::filesystem::path& path) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  return sha256_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace foresight
