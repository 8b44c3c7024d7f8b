"""The page that shows the OpenAPI documents: Swagger UI 5.35.0 as it is published, and ours around
it (``index.html``, ``page.js``, ``page.css``).
"""
