"""On an emulator of AWS: needs moto's server."""
