'use strict';

// Swagger UI, which asks nobody but the server that it came from: no badge of
// a validator, no other document than ours.

if (window.SwaggerUIBundle) {
  window.SwaggerUIBundle({
    url: '../openapi.yaml',
    dom_id: '#swagger-ui',
    validatorUrl: null,
    queryConfigEnabled: false,
    deepLinking: true,
  });
}
