# vmm_library(TARGET OUTPUT OBJECTS_TARGET DESCRIPTION [LINK_TARGET]): a static and a shared library of one set of objects,
# installed and exported with their headers and a pkg-config file.
function(vmm_library target output objects description)
	set(link ${ARGN})
	set(kinds STATIC)
	if(BUILD_SHARED_LIBS)
		list(APPEND kinds SHARED)
	endif()
	foreach(kind ${kinds})
		set(name ${target})
		set(suffix "")
		if(kind STREQUAL SHARED)
			set(name ${target}-shared)
			set(suffix "-shared")
		endif()
		add_library(${name} ${kind} $<TARGET_OBJECTS:${objects}>)
		string(REPLACE "vmm-" "" export_name ${name})
		set_target_properties(${name} PROPERTIES OUTPUT_NAME ${output} EXPORT_NAME ${export_name})
		add_library(vmm::${export_name} ALIAS ${name})
		target_include_directories(${name} PUBLIC
			$<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>
			$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
		target_link_libraries(${name} PUBLIC Threads::Threads)
		if(link)
			target_link_libraries(${name} PUBLIC ${link}${suffix})
		endif()
		if(kind STREQUAL SHARED)
			set_target_properties(${name} PROPERTIES VERSION ${PROJECT_VERSION}
				SOVERSION ${PROJECT_VERSION_MAJOR})
			target_link_options(${name} PRIVATE
				-Wl,--version-script=${CMAKE_SOURCE_DIR}/libvmm/cmake/exports.map
				-Wl,--no-undefined)
			if(VMM_SANITIZE)
				target_link_options(${name} PRIVATE -fsanitize=address,undefined)
			endif()
			if(VMM_COVERAGE)
				target_link_options(${name} PRIVATE --coverage)
			endif()
		endif()
		install(TARGETS ${name} EXPORT vmm-targets
			ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
			LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
	endforeach()
	install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
	# Relative to the file itself, so that what is installed can be moved.
	file(RELATIVE_PATH VMM_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
	set(VMM_PC_NAME ${output})
	set(VMM_PC_DESCRIPTION "${description}")
	set(VMM_PC_REQUIRES "${link}")
	configure_file(${CMAKE_SOURCE_DIR}/libvmm/cmake/vmm.pc.in ${CMAKE_CURRENT_BINARY_DIR}/${output}.pc @ONLY)
	install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${output}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()
