"""How far two outputs are apart: one measure a file, all listed in ``registry``."""
