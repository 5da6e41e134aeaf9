-- Run by each primary when it is new; its replica gets all of it. MariaDB compares text without regard to case unless told otherwise.
CREATE DATABASE track CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE DATABASE directory CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE DATABASE accounts CHARACTER SET utf8mb4;
GRANT ALL ON track.* TO app@'%';
GRANT ALL ON directory.* TO app@'%';
GRANT ALL ON accounts.* TO app@'%';
-- How far a replica is behind.
GRANT SLAVE MONITOR ON *.* TO app@'%';
