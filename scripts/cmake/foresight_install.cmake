# cmake --install: the program, configs, docs and a CMake package of the libraries; cpack -G DEB: a Debian package.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# The program finds torch's libraries where they lay when it was built; the folder of a .venv inside the sources is
# none of those that CMake would keep by itself. The build has the same list: CMake would fill a shorter one up with colons,
# to write the longer one over it, and an empty entry is the working directory.
set_target_properties(foresight PROPERTIES INSTALL_RPATH "${torch_root}/lib" INSTALL_RPATH_USE_LINK_PATH ON
  BUILD_WITH_INSTALL_RPATH ON)
install(TARGETS foresight RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
install(DIRECTORY configs DESTINATION ${CMAKE_INSTALL_DATADIR}/foresight COMPONENT program)
install(FILES README.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT program)
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs COMPONENT program)
install(CODE "execute_process(
    COMMAND \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/foresight\" completion bash
    OUTPUT_FILE \"${PROJECT_BINARY_DIR}/foresight.completion\" COMMAND_ERROR_IS_FATAL ANY)" COMPONENT program)
install(FILES ${PROJECT_BINARY_DIR}/foresight.completion RENAME foresight
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT program)

# find_package(foresight): targets foresight::foresight_NAME, one for each folder.
get_property(foresight_libraries GLOBAL PROPERTY FORESIGHT_LIBRARIES)
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/foresight)
install(TARGETS ${foresight_libraries} EXPORT foresightTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}/foresight
  COMPONENT development)
install(DIRECTORY data golden_eviction rl trainer DESTINATION include/foresight COMPONENT development
  FILES_MATCHING PATTERN "*.h")
install(EXPORT foresightTargets NAMESPACE foresight:: DESTINATION ${package_folder} COMPONENT development)
configure_package_config_file(scripts/cmake/foresightConfig.cmake.in ${PROJECT_BINARY_DIR}/foresightConfig.cmake
  INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/foresightConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/foresightConfig.cmake ${PROJECT_BINARY_DIR}/foresightConfigVersion.cmake
  scripts/cmake/foresight_dependencies.cmake scripts/cmake/foresight_torch.cmake
  DESTINATION ${package_folder} COMPONENT development)

# One .deb, of the program alone. Torch is no Debian package: the build's own is used (docs/decisions.md).
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME foresight)
set(CPACK_PACKAGE_VENDOR "The founders of Foresight")
set(CPACK_PACKAGE_CONTACT "The founders of Foresight <foresight@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Trains KV-cache eviction policies for language models")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL program)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME foresight)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_DEPENDS
  "libhdf5-103-1, libicu72, libopenmpi3, libpcre2-8-0, libspdlog1.10, libssl3, libyaml-cpp0.7")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS openmpi-bin)
include(CPack)
