"""What tests of the whole process share."""
