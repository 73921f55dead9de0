# ATTNLAB_PORTABLE: programs that run on another machine beside a Python with torch. Linked statically is all but
# LibTorch, CUDA and glibc; run paths name no folder of this machine (tests/gpu/make_bundle.sh, run.sh).

option(ATTNLAB_PORTABLE "Programs and libraries that run on another machine beside its LibTorch" OFF)
if(ATTNLAB_PORTABLE)
  set(CMAKE_BUILD_WITH_INSTALL_RPATH ON)
  set(CMAKE_INSTALL_RPATH "$ORIGIN;$ORIGIN/../lib")
  # LibTorch has the shared libstdc++; ours stays inside each file. Not so libgcc: exceptions that cross
  # from file to file need one unwinder.
  add_link_options(-static-libstdc++ LINKER:--exclude-libs,libstdc++.a)
  set(OPENSSL_USE_STATIC_LIBS ON)
  # Debian's package describes the shared library alone; the static one lies beside it.
  find_package(yaml-cpp REQUIRED)
  find_library(YAML_CPP_STATIC_LIBRARY libyaml-cpp.a REQUIRED)
  foreach(configuration IN ITEMS "" _NONE _RELEASE)
    set_target_properties(yaml-cpp PROPERTIES IMPORTED_LOCATION${configuration} ${YAML_CPP_STATIC_LIBRARY})
  endforeach()
endif()
