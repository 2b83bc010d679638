"""CT volumes: from DICOM, NIfTI, MHA and NRRD files to patches in Hounsfield units."""
