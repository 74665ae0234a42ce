FROM node:26-alpine AS packages
WORKDIR /build
# Without network, npm takes the packages from `offline/npm-cache`, if that folder exists: docs/operations.md.
COPY package.json package-lock.json offlin[e] ./
# The packages that are optional for the package trimint.
COPY extras ./extras

# The package trimint, as npm packs it. Of the development dependencies, only the bundler is needed.
FROM packages AS package
# Skip install scripts, here and below: the only one installs Node, which this image already has.
RUN npm pkg set --json 'devDependencies={"rolldown":"*"}' && \
    npm ci --ignore-scripts --prefer-offline --no-audit --no-fund --cache npm-cache
COPY package.json tsconfig.json rolldown.config.ts ./
COPY bin ./bin
COPY src ./src
COPY openapi/*.json ./openapi/
RUN node_modules/.bin/rolldown --config rolldown.config.ts && npm pack --ignore-scripts --silent

FROM packages AS build
# The base's files, without package managers. The engine mounts three files in /etc, with contents of the machine that builds.
RUN mkdir -p /image && \
    for entry in /*; do case $entry in /build | /dev | /image | /proc | /sys) ;; *) cp -a "$entry" /image/ ;; esac; done && \
    cd /image && mkdir dev proc sys && for file in hosts hostname resolv.conf; do : >"etc/$file"; done && \
    rm -rf usr/local/lib/node_modules usr/local/bin/npm usr/local/bin/npx usr/local/bin/corepack usr/local/bin/yarn* opt/yarn-*
# No program reads source maps and declarations at run time: half of the packages' size.
RUN npm ci --omit=dev --ignore-scripts --prefer-offline --no-audit --no-fund --cache npm-cache && \
    find node_modules -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \) -exec rm {} +
COPY --from=package /build/trimint-*.tgz ./
# Some platforms assign a random user id in group 0. Trimint writes only to `data`.
# A relative path in the configuration is relative to /etc/trimint: its data folder links to the one in /app.
RUN mkdir -p /image/app/data /image/etc/trimint /image/usr/local/bin && \
    tar -xzf trimint-*.tgz --strip-components=1 -C /image/app && mv node_modules /image/app/ && \
    chown -R 0:0 /image/app && chmod -R u=rwX,go=rX /image/app && chmod 0755 /image/app/bin/trimint.cjs /image/etc/trimint && \
    chown 1000:0 /image/app/data && chmod 0770 /image/app/data && \
    ln -s /app/bin/trimint.cjs /image/usr/local/bin/trimint && ln -s /app/data /image/etc/trimint/data
# Seconds since the epoch: the time of every file, so that one commit gives the same layers each time.
ARG SOURCE_DATE_EPOCH=0
RUN find /image -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

# One layer: a layer that deletes the base's npm would keep its bytes, and differ from build to build.
FROM scratch
COPY --from=build /image/ /
WORKDIR /app
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080 TRIMINT_CONFIG=/etc/trimint/trimint.yaml
# The user `node`, as a number, so that platforms can verify that it is not root.
USER 1000
EXPOSE 8080
# Liveness: reads the server's environment and configuration to find its address. A restart would not bring a store back.
HEALTHCHECK --interval=10s --timeout=20s --start-period=60s CMD ["trimint", "healthcheck"]
# SIGUSR1 would open a port for debuggers.
ENTRYPOINT ["node", "--disable-sigusr1", "bin/trimint.cjs"]
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Trimint" \
      org.opencontainers.image.description="Issues tokens under three vendors' contracts: BioID BWS, GBG IDscan and nevisFIDO" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
