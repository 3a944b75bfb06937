"""Read-only collectors: source trees and test runs. Facts are read once and judged often."""
