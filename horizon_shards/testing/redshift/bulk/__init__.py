"""What the strict local Redshift does itself: COPY, UNLOAD, ALTER TABLE APPEND, and late-binding views."""
