"""What is printed: QR codes, posters and PDF."""
