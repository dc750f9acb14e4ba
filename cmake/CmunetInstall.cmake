# What `cmake --install` copies, and the two Debian packages that `cpack -G DEB` makes of it: cmunet, which needs no
# LibTorch, and cmunet-train.
include(GNUInstallDirs)

if(TARGET cmunet)
  install(TARGETS cmunet RUNTIME COMPONENT cmunet)
  install(FILES models/coronary-small.safetensors DESTINATION ${CMAKE_INSTALL_DATADIR}/cmunet COMPONENT cmunet)
  install(FILES packaging/cmunet-node.service DESTINATION lib/systemd/system COMPONENT cmunet)
  # Laid out as in the source, so that links between the pages hold.
  install(FILES README.md CHANGELOG.md HACKING.md SECURITY.md THIRD_PARTY.md LICENSE
    DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT cmunet)
  install(FILES models/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR}/models COMPONENT cmunet)
  install(DIRECTORY configs docs DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT cmunet)
endif()
if(TARGET cmunet-train)
  install(TARGETS cmunet-train RUNTIME COMPONENT cmunet-train)
endif()

set(CPACK_PACKAGE_VENDOR "cmunet")
set(CPACK_PACKAGE_CONTACT "the authors of cmunet")
set(CPACK_OUTPUT_FILE_PREFIX packages)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_CMUNET_PACKAGE_NAME cmunet)
set(CPACK_DEBIAN_CMUNET_DESCRIPTION "segmentation and measurement of coronary arteries in X-ray angiograms
Prepares data, segments images and DICOM runs, measures vessels, evaluates and compares. Research software, not for
clinical use.")
set(CPACK_DEBIAN_CMUNET_PACKAGE_RECOMMENDS ca-certificates)  # HTTPS of cmunet dicomweb
set(CPACK_DEBIAN_CMUNET_PACKAGE_SUGGESTS cmunet-train)
set(CPACK_DEBIAN_CMUNET_PACKAGE_CONTROL_EXTRA
  "${PROJECT_SOURCE_DIR}/packaging/deb/postinst"
  "${PROJECT_SOURCE_DIR}/packaging/deb/prerm"
  "${PROJECT_SOURCE_DIR}/packaging/deb/postrm")
set(CPACK_DEBIAN_CMUNET_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_CMUNET-TRAIN_PACKAGE_NAME cmunet-train)
set(CPACK_DEBIAN_CMUNET-TRAIN_PACKAGE_DEPENDS "cmunet (= ${PROJECT_VERSION}), libopenblas0-openmp")
set(CPACK_DEBIAN_CMUNET-TRAIN_DESCRIPTION "pre-training and fine-tuning for cmunet
What the commands pretrain, finetune, tune and benchmark of cmunet start; with LibTorch. Research software, not for
clinical use.")
include(CPack)
