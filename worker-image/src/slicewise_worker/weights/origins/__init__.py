"""How each kind of source says where its bytes are. Each origin ends in one address that the download then reads."""
