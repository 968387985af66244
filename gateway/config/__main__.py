"""`python -m gateway.config`: write config.example.toml and docs/configuration.md anew when settings changed."""

from pathlib import Path

from .documents import render_example, render_manual

Path("config.example.toml").write_text(render_example())
Path("docs/configuration.md").write_text(render_manual())
