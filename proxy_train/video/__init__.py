"""Videos to frames: files, folders of images, cameras."""
