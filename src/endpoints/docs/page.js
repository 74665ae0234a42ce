// Runs in the browser.

/** What of the first reply of success comes first: nevisFIDO's services demand to be asked for exactly that (N5). */
function firstMediaType(system, path, method) {
  const responses = system.specSelectors.specJson().getIn(['paths', path, method, 'responses'])
  return responses?.getIn(['200', 'content'])?.keySeq().first()
}

/** Asks for it, where the library would ask for anything. */
const acceptFirst = () => ({
  statePlugins: {
    spec: {
      wrapSelectors: {
        currentProducesFor:
          (original, system) =>
          (state, [path, method]) =>
            firstMediaType(system, path, method) ?? original(state, [path, method]),
      },
    },
    oas3: {
      wrapSelectors: {
        responseContentType: (original, system) => (state, path, method) =>
          original(state, path, method) ?? firstMediaType(system, path, method),
      },
    },
  },
})

SwaggerUIBundle({
  dom_id: '#reference',
  url: 'docs/openapi.json',
  plugins: [acceptFirst],
  deepLinking: true,
  tryItOutEnabled: true,
  defaultModelsExpandDepth: -1,
  // The library's own is another host.
  validatorUrl: null,
})
