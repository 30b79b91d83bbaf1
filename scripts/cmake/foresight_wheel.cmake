# pip install . (pyproject.toml): what goes into the wheel, below the folder foresight_kv of its packages.
if(NOT SKBUILD)
  return()
endif()
add_custom_target(foresight_wheel DEPENDS foresight_ops)
install(TARGETS foresight_ops LIBRARY DESTINATION . COMPONENT wheel)
if(FORESIGHT_PROGRAM)
  add_dependencies(foresight_wheel foresight)
  install(TARGETS foresight RUNTIME DESTINATION bin COMPONENT wheel)
  # Read by foresight_kv.program: the program's own loader could only name a missing symbol.
  file(WRITE ${PROJECT_BINARY_DIR}/torch_version "${torch_version}\n")
  install(FILES ${PROJECT_BINARY_DIR}/torch_version DESTINATION bin COMPONENT wheel)
  # torch and the packages with CUDA's libraries lie beside foresight_kv, wherever the environment is.
  set(beside "$ORIGIN/../..")
  set_target_properties(foresight PROPERTIES INSTALL_RPATH_USE_LINK_PATH OFF
    INSTALL_RPATH "${beside}/torch/lib;${beside}/nvidia/cu13/lib;${beside}/nvidia/nccl/lib")
endif()
