"""The database backend for Aurora MySQL, MySQL and MariaDB that survives a failover."""
