// One HDF5 file per trace: written whole, closed, checked and then renamed. The only module that includes
// hdf5.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/oracle_schema.h"

namespace foresight {

/// Checks the closed file `staging`, which will become `path`, by reading it back. Throws Error(kResource)
/// naming `path` and the difference if it is not what was written.
void require_readable_oracle(const std::filesystem::path& path, const std::filesystem::path& staging,
                             std::int64_t layers);

/// Writes one trace's file layer by layer. Nothing appears under `path` before finish(); a writer that is
/// destroyed without finish() removes its staging file.
class OracleWriter {
 public:
  /// compression: deflate level 0..9 (0: chunked, not compressed). Fletcher32 on every chunk.
  /// Throws Error(kResource) when the file cannot be created, Error(kInternal) when the trace does not fit
  /// dimensions.
  OracleWriter(const std::filesystem::path& path, const OracleDimensions& dimensions,
               const OracleProvenance& provenance, const OracleTrace& trace, int compression);
  ~OracleWriter();
  OracleWriter(const OracleWriter&) = delete;
  OracleWriter& operator=(const OracleWriter&) = delete;

  /// Future attention of one layer: IEEE float16 bits, [kv_heads, packed_elements()] (see OracleDimensions).
  void write_layer(std::int64_t layer, std::span<const std::uint16_t> attention);
  /// Writes the digest, closes, checks that every layer was written, publishes by rename.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The recorded attention of one layer, whose digest was checked, to read parts of. The file stays open
/// meanwhile.
class OracleLayer {
 public:
  ~OracleLayer();
  OracleLayer(OracleLayer&&) noexcept;
  OracleLayer& operator=(OracleLayer&&) noexcept;

  /// The rows of blocks first_block .. first_block + blocks - 1 of one KV head: float16 bits,
  /// [elements_of_blocks(first_block, blocks)]. Throws Error(kInput) naming file and dataset,
  /// Error(kInternal) for a head or blocks that do not exist.
  std::vector<std::uint16_t> read_rows(std::int64_t head, std::int64_t first_block,
                                       std::int64_t blocks) const;

 private:
  friend class OracleReader;
  struct State;
  explicit OracleLayer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Reads one trace's file. Before it allocates anything, the constructor checks schema version, dimensions
/// and sizes, and refuses external links, virtual datasets and filters other than deflate, shuffle and
/// Fletcher32. It checks the digest of the small datasets. Throws Error(kInput) naming file, dataset,
/// expected and got.
class OracleReader {
 public:
  explicit OracleReader(const std::filesystem::path& path);
  ~OracleReader();
  OracleReader(OracleReader&&) noexcept;
  OracleReader& operator=(OracleReader&&) noexcept;

  const OracleDimensions& dimensions() const;
  const OracleProvenance& provenance() const;
  const OracleTrace& trace() const;
  const std::filesystem::path& path() const;
  /// The layer to read parts of, after its digest was checked piece by piece. The reader must live as long.
  /// Throws Error(kInternal) for a layer that does not exist.
  OracleLayer open_layer(std::int64_t layer) const;
  /// The rows of blocks first_block .. first_block + blocks - 1 of all KV heads: float16 bits, [kv_heads,
  /// elements_of_blocks(first_block, blocks)]. This checks the checksums of their chunks, but not the layer's
  /// digest. Throws Error(kInternal) for a layer or blocks that do not exist.
  std::vector<std::uint16_t> read_rows(std::int64_t layer, std::int64_t first_block,
                                       std::int64_t blocks) const;

 private:
  friend class OracleLayer;
  struct State;
  std::unique_ptr<State> state_;
};

/// Throws Error(kInput) if the file was recorded with another model or tokenizer than the given ones, naming
/// both.
void require_same_source(const OracleReader& reader, const std::string& model_fingerprint,
                         const std::string& tokenizer_fingerprint);

/// The oracle files of a split ("train", "validation", "evaluation") in a run's oracle/ folder, in order of
/// index.
std::vector<std::filesystem::path> oracle_files(const std::filesystem::path& folder,
                                                const std::string& split);
/// oracle/train-000003.h5
std::filesystem::path oracle_file_path(const std::filesystem::path& folder, const std::string& split,
                                       std::int64_t index);

}  // namespace foresight
