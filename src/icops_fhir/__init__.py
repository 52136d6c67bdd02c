"""icops-fhir: FHIR R4 interoperability for the coordination of care pathways."""

__version__ = "0.1.0"
